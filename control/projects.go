package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"patchbay/actors/endpoint"
)

// maxProjects is how many projects one account may have.
const maxProjects = 50

// A ProjectSpec is what an owner may set of a project.
type ProjectSpec struct {
	Name     string          `json:"name"`
	ParentID *string         `json:"parent_id,omitempty"`
	Limits   endpoint.Limits `json:"limits"`
	ProjectDefaults
}

// ProjectDefaults are what other products' APIs know of a project.
type ProjectDefaults struct {
	AuthID               string  `json:"auth_id,omitempty"`                 // of Vobiz: MA_... or SA_...
	DefaultEndpointAppID *string `json:"default_endpoint_app_id,omitempty"` // application of endpoints that name none
	DefaultNumberAppID   *string `json:"default_number_app_id,omitempty"`   // likewise of numbers
	DefaultAppID         *string `json:"default_app_id,omitempty"`
}

// A ProjectView is a project as its owner reads it. Revision is that of the
// account that holds it.
type ProjectView struct {
	ID       string            `json:"id"`
	Revision endpoint.Revision `json:"revision"`
	ProjectSpec
}

// A NewProject is the request of project.create.
type NewProject struct {
	ID   string          `json:"id,omitempty"` // a UUID of the caller's choice; "": made here
	Spec json.RawMessage `json:"spec"`
}

// CreateProject adds a project to the tenant's account.
func (o *Operations) CreateProject(ctx context.Context, tenant string, in NewProject) (ProjectView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.projectAgain(ctx, tenant, before, err)
	}
	spec, err := merge(ProjectSpec{}, in.Spec)
	if err != nil {
		return ProjectView{}, err
	}
	if in.ID == "" {
		in.ID = NewUUID()
	}
	terms := o.terms(ctx, tenant, nil)
	terms.Once.ID = in.ID
	made, err := o.changeProjects(ctx, tenant, "create", 0, in.ID, terms, func(a *endpoint.Account, at int) error {
		switch {
		case at >= 0:
			return endpoint.ErrExists
		case len(a.Projects) >= maxProjects:
			return &Error{Code: CodeLimit, Message: fmt.Sprintf("an account has at most %d projects", maxProjects)}
		}
		if len(a.Projects) == 0 { // the first has the account's limits
			a.Projects = []endpoint.Project{{ID: a.ID, Name: a.Name}}
		}
		a.Projects = append(a.Projects, endpoint.Project{ID: in.ID})
		spec.put(&a.Projects[len(a.Projects)-1])
		return nil
	})
	if before, other := repeatOf(err); err != nil && other == nil {
		return o.projectAgain(ctx, tenant, before, nil)
	}
	return made, err
}

// projectAgain answers a creation that was made before with what it made, as it
// stands.
func (o *Operations) projectAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (ProjectView, error) {
	if err != nil {
		return ProjectView{}, err
	}
	p, err := o.GetProject(ctx, tenant, ID{before.ID})
	if err != nil {
		return ProjectView{}, again(err)
	}
	return p, nil
}

// GetProject returns one project.
func (o *Operations) GetProject(ctx context.Context, tenant string, in ID) (ProjectView, error) {
	if err := in.check(); err != nil {
		return ProjectView{}, err
	}
	a, err := o.Store.Account(ctx, tenant)
	if err != nil {
		return ProjectView{}, fmt.Errorf("get project %s: %w", in.ID, err)
	}
	p := a.Project(in.ID)
	if p == nil {
		return ProjectView{}, fmt.Errorf("get project %s: %w", in.ID, endpoint.ErrNotFound)
	}
	return projectViewOf(*p, a.Revision), nil
}

// ListProjects returns the account's projects, the first of which has the
// limits of the account. They come as one page.
func (o *Operations) ListProjects(ctx context.Context, tenant string, _ struct{}) (Page[ProjectView], error) {
	a, err := o.Store.Account(ctx, tenant)
	if err != nil {
		return Page[ProjectView]{}, fmt.Errorf("list projects: %w", err)
	}
	page := Page[ProjectView]{Items: make([]ProjectView, len(a.Projects))}
	for i, p := range a.Projects {
		page.Items[i] = projectViewOf(p, a.Revision)
	}
	return page, nil
}

// UpdateProject changes a project.
func (o *Operations) UpdateProject(ctx context.Context, tenant string, in Change) (ProjectView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return ProjectView{}, err
	}
	return o.changeProjects(ctx, tenant, "update", in.Revision, in.ID, endpoint.Terms{}, func(a *endpoint.Account, at int) error {
		if at < 0 {
			return endpoint.ErrNotFound
		}
		spec, err := merge(projectViewOf(a.Projects[at], 0).ProjectSpec, in.Patch)
		if err == nil {
			spec.put(&a.Projects[at])
		}
		return err
	})
}

// DeleteProject removes a project that no endpoint and no key names. The first
// one stays.
func (o *Operations) DeleteProject(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	_, err := o.changeProjects(ctx, tenant, "delete", in.Revision, in.ID, endpoint.Terms{}, func(a *endpoint.Account, at int) error {
		switch {
		case at < 0:
			return endpoint.ErrNotFound
		case at == 0:
			return &Error{Code: CodeConflict, Message: "the account's first project stays"}
		}
		a.Projects = slices.Delete(a.Projects, at, at+1)
		return o.projectUnused(ctx, tenant, in.ID)
	})
	return Deleted{in.ID}, err
}

// changeProjects writes the account with its projects changed.
func (o *Operations) changeProjects(ctx context.Context, tenant, act string, expect endpoint.Revision, id string,
	terms endpoint.Terms, change func(a *endpoint.Account, at int) error) (ProjectView, error) {
	a, err := o.Store.Account(ctx, tenant)
	if err == nil && expect != 0 && expect != a.Revision {
		err = endpoint.ErrConflict
	}
	if err == nil {
		a.Projects = slices.Clone(a.Projects)
		err = change(&a, slices.IndexFunc(a.Projects, func(p endpoint.Project) bool { return p.ID == id }))
	}
	if err != nil {
		return ProjectView{}, fmt.Errorf("%s project %s: %w", act, id, err)
	}
	if problems := projectProblems(&a, id); len(problems) > 0 {
		return ProjectView{}, invalidAll(problems)
	}
	a.UpdatedAt = o.Now()
	if a.Revision, err = o.Store.UpdateAccount(ctx, a, terms); err != nil {
		return ProjectView{}, fmt.Errorf("%s project %s: %w", act, id, err)
	}
	if p := a.Project(id); p != nil {
		return projectViewOf(*p, a.Revision), nil
	}
	return ProjectView{}, nil
}

// projectProblems returns the mistakes of the account and of that project.
func projectProblems(a *endpoint.Account, id string) []endpoint.Problem {
	problems := a.Validate()
	p := a.Project(id)
	if p == nil {
		return problems
	}
	problems = append(problems, p.Validate()...)
	if p.ParentID != nil && (*p.ParentID == id || a.Project(*p.ParentID) == nil) {
		problems = append(problems, endpoint.Problem{Field: "parent_id", Code: "unknown", Message: "no such project"})
	}
	return problems
}

// projectUnused refuses while an endpoint or a key names the project.
func (o *Operations) projectUnused(ctx context.Context, tenant, id string) error {
	busy := &Error{Code: CodeConflict, Message: "an endpoint or a key names the project"}
	keys, _, err := o.Store.Keys(ctx, tenant, "", maxPage)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(keys, func(k endpoint.APIKey) bool { return k.ProjectID == id }) {
		return busy
	}
	for cursor := ""; ; {
		eps, next, err := o.Store.Endpoints(ctx, tenant, cursor, maxPage)
		switch {
		case err != nil:
			return err
		case slices.ContainsFunc(eps, func(ep endpoint.Endpoint) bool { return ep.ProjectID == id }):
			return busy
		case next == "":
			return nil
		}
		cursor = next
	}
}

// projectExists refuses a project that the tenant does not have.
func (o *Operations) projectExists(ctx context.Context, tenant, id string) error {
	a, err := o.account(ctx, tenant)
	if err != nil {
		return err
	}
	if a.Project(id) == nil {
		return invalid("project_id", "unknown", "no such project")
	}
	return nil
}

func (s ProjectSpec) put(p *endpoint.Project) {
	p.Name, p.ParentID, p.Limits, p.AuthID = s.Name, s.ParentID, s.Limits, s.AuthID
	p.DefaultEndpointAppID, p.DefaultNumberAppID, p.DefaultAppID = s.DefaultEndpointAppID, s.DefaultNumberAppID, s.DefaultAppID
}

func projectViewOf(p endpoint.Project, rev endpoint.Revision) ProjectView {
	return ProjectView{ID: p.ID, Revision: rev, ProjectSpec: ProjectSpec{Name: p.Name, ParentID: p.ParentID, Limits: p.Limits,
		ProjectDefaults: ProjectDefaults{AuthID: p.AuthID, DefaultEndpointAppID: p.DefaultEndpointAppID,
			DefaultNumberAppID: p.DefaultNumberAppID, DefaultAppID: p.DefaultAppID}}}
}
