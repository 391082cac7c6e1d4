#!/bin/sh
# Lets OpenAI Realtime answer calls: makes an agent with the session of
# session.json, and an endpoint that it answers, and prints the endpoint.
#
#     OPENAI_API_KEY=sk-... examples/openai/agent.sh
#
# Without a key of theirs, try it with fake.py, which answers like their server
# and says back what it hears:
#
#     python3 examples/openai/fake.py --key test &
#     OPENAI_API_KEY=test OPENAI_URL=http://127.0.0.1:8089/v1/realtime/calls examples/openai/agent.sh
#     bin/patchbay call <sip uri>
set -eu
patchbay=${PATCHBAY:-bin/patchbay}
url=${OPENAI_URL:-https://api.openai.com/v1/realtime/calls}
session=$(cat "$(dirname "$0")/session.json")

agent=$(printf %s "$OPENAI_API_KEY" | "$patchbay" ctl --json agent create --name openai \
	--http "$url" --dialect openai --secret-file - --codec PCMU --codec PCMA \
	--spec "{\"webrtc\":{\"call_tools\":true,\"timeout_ms\":10000,\"session\":$session}}" | sed -n 's/^  "id": "\(.*\)",$/\1/p')
"$patchbay" ctl endpoint create --name "OpenAI" --prefix openai --agent "$agent"
