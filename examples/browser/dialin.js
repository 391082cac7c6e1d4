// A page that takes calls as an agent with connector dialin. docs/agents.md has
// the messages. No library: fetch, RTCPeerConnection, getUserMedia.

// waitForCall returns the call that has waited longest, once there is one.
export async function waitForCall({ base, agent, key, signal }) {
  for (;;) {
    const response = await fetch(`${base}/v1/agents/${agent}/waiting?wait=20s`, {
      headers: { Authorization: `Bearer ${key}` }, signal,
    });
    if (!response.ok) throw new Error(await problem(response));
    const { items } = await response.json();
    if (items.length > 0) return items[0];
  }
}

// takeCall answers the call with the given stream. It resolves once the call's
// audio is connected, to { connection, channel }.
export async function takeCall({ base, call, stream, onAudio, onEvent }) {
  const connection = new RTCPeerConnection();
  const channel = connection.createDataChannel("call-events");
  channel.onmessage = (message) => onEvent(JSON.parse(message.data));
  connection.ontrack = (event) => onAudio(event.streams[0] ?? new MediaStream([event.track]));
  for (const track of stream.getTracks()) connection.addTrack(track, stream);

  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection); // one request, so all candidates go into it
  const response = await fetch(`${base}/v1/calls/${call.call_id}/webrtc`, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${call.token}` },
    body: connection.localDescription.sdp,
  });
  if (response.status !== 201) {
    connection.close();
    throw new Error(await problem(response));
  }
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  await connected(connection);
  return { connection, channel };
}

function gathered(connection) {
  return new Promise((resolve) => {
    const done = () => { if (connection.iceGatheringState === "complete") resolve(); };
    connection.addEventListener("icegatheringstatechange", done);
    done();
    setTimeout(resolve, 2000); // what there is by then will do
  });
}

function connected(connection) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (connection.connectionState === "connected") resolve();
      if (["failed", "closed"].includes(connection.connectionState)) reject(new Error(`connection ${connection.connectionState}`));
    };
    connection.addEventListener("connectionstatechange", look);
    look();
  });
}

async function problem(response) {
  const body = await response.json().catch(() => ({}));
  return `${response.status} ${body.detail ?? body.title ?? response.statusText}`;
}

// The page.
const form = document.querySelector("#form");
if (form) {
  const say = (text) => { document.querySelector("#state").textContent = text; };
  const log = (value) => {
    document.querySelector("#log").textContent += JSON.stringify(value) + "\n";
    console.info("call-events", JSON.stringify(value));
  };
  const hangup = document.querySelector("#hangup");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { base, agent, key } = Object.fromEntries(new FormData(form));
    const button = document.querySelector("#wait");
    button.disabled = true;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      say("waiting for a call");
      const call = await waitForCall({ base, agent, key });
      say(`answering ${call.from.user || call.call_id}`);
      const { connection, channel } = await takeCall({
        base, call, stream, onEvent: log,
        onAudio: (audio) => { document.querySelector("#audio").srcObject = audio; },
      });
      say(`talking to ${call.from.user || "the caller"}`);
      hangup.disabled = false;
      hangup.onclick = () => channel.send(JSON.stringify({ id: "1", type: "hangup" }));
      await new Promise((over) => {
        connection.onconnectionstatechange = () => {
          if (["disconnected", "failed", "closed"].includes(connection.connectionState)) over();
        };
        channel.onclose = over;
      });
      connection.close();
      say("the call is over");
    } catch (error) {
      say(error.message);
    } finally {
      stream?.getTracks().forEach((track) => track.stop());
      hangup.disabled = true;
      button.disabled = false;
    }
  });

  // #base=...&agent=...&key=... fills the form in; &start begins at once. What
  // follows the # stays in the browser.
  const given = new URLSearchParams(location.hash.slice(1));
  for (const input of form.querySelectorAll("input")) input.value = given.get(input.name) ?? input.value;
  if (given.has("start")) form.requestSubmit();
}
