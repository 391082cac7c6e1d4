package permit_test

import (
	"testing"

	"patchbay/cluster/permit"
	"patchbay/internal/golden"
)

const docsHead = `# Permissions on NATS

<!-- Written by cluster/permit/docs_test.go: go test ./cluster/permit -run Document -update -->

Who may publish, hear, read and write what. Everything else is refused. [operations.md](operations.md#credentials) says who gets a credential
and how; a process with several roles has the union of their permissions.

` + "`<own>`" + ` is the tenant or agent of the credential; of an API key (` + "`key`" + `), what its scopes allow ([operations](operations.md#api-keys-on-nats)). Whoever answers may publish to the inboxes of those who ask, and to no others; nobody hears
another's inbox. A worker may answer each question once, wherever
its asker wants the answer, and so hears nothing but what nodes of ours ask and tell it: nobody outside may publish to an inbox, and a worker with
an API key hears none of its tenant's events. Inboxes of a process begin with ` + "`_INBOX`" + ` and its roles, those of others
with ` + "`_INBOX_operator`, `_INBOX_tenant.<own>`, `_INBOX_worker.<own>`, `_INBOX_key.<key id>`" + `.

NATS lets whoever asks name any subject for the answer, and looks at the permissions of whoever answers: a node of ours answers at a subject that begins with
` + "`_INBOX`" + ` and nowhere else.

Brokers and control nodes make and change the streams; every role but edge may ask how they are; an operator may back them up.

`

func TestTheDocumentIsTheTable(t *testing.T) {
	t.Parallel()
	golden.Compare(t, "../../docs/permissions.md", []byte(docsHead+permit.Markdown()))
}
