package control

import (
	"context"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// Blocks keeps the sources that every edge turns away.
type Blocks interface {
	// PutBlock stores a block, over the one of the same source if there is one.
	// [CodeLimit] where there are as many as there may be.
	PutBlock(ctx context.Context, b endpoint.Block) (endpoint.Revision, error)
	// DeleteBlock removes the block of a source, or wraps endpoint.ErrNotFound.
	DeleteBlock(ctx context.Context, b endpoint.Block) error
	// Blocks returns a page of them.
	Blocks(ctx context.Context, cursor string, limit int) (page []endpoint.Block, next string, err error)
}

// A NewBlock is the request of block.create.
type NewBlock struct {
	Source    string     `json:"source"` // address or CIDR range
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // absent: until it is deleted
}

// A BlockView is a blocked source as the operator reads it.
type BlockView struct {
	Source    string            `json:"source"`
	Reason    string            `json:"reason,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty"`
	Revision  endpoint.Revision `json:"revision"`
}

// A BlockRef names a block by its source.
type BlockRef struct {
	Source string `json:"source"`
}

// CreateBlock turns a source away at every edge, within 2 s. A second block of
// the same range replaces the first.
func (o *Operations) CreateBlock(ctx context.Context, _ string, in NewBlock) (BlockView, error) {
	source, err := endpoint.ParseBlock(in.Source)
	if err != nil {
		return BlockView{}, problemOf(err)
	}
	b := endpoint.Block{V: 1, Source: source, Reason: in.Reason, CreatedAt: o.Now(), ExpiresAt: in.ExpiresAt}
	if problems := b.Validate(); len(problems) > 0 {
		return BlockView{}, invalidAll(problems)
	}
	if b.Revision, err = o.Blocks.PutBlock(ctx, b); err != nil {
		return BlockView{}, fmt.Errorf("block %s: %w", source, err)
	}
	return blockViewOf(b), nil
}

// ListBlocks returns one page of the blocked sources, in the order in which
// they were last set.
func (o *Operations) ListBlocks(ctx context.Context, _ string, in PageRequest) (Page[BlockView], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[BlockView]{}, err
	}
	all, next, err := o.Blocks.Blocks(ctx, in.Cursor, limit)
	if err != nil {
		return Page[BlockView]{}, fmt.Errorf("list blocks: %w", err)
	}
	page := Page[BlockView]{Items: make([]BlockView, len(all)), Next: next}
	for i, b := range all {
		page.Items[i] = blockViewOf(b)
	}
	return page, nil
}

// DeleteBlock lets a source in again. It must be named as it was blocked: a
// part of a range cannot be taken out.
func (o *Operations) DeleteBlock(ctx context.Context, _ string, in BlockRef) (Deleted, error) {
	source, err := endpoint.ParseBlock(in.Source)
	if err != nil {
		return Deleted{}, problemOf(err)
	}
	if err := o.Blocks.DeleteBlock(ctx, endpoint.Block{Source: source}); err != nil {
		return Deleted{}, fmt.Errorf("unblock %s: %w", source, err)
	}
	return Deleted{source.String()}, nil
}

func blockViewOf(b endpoint.Block) BlockView {
	return BlockView{Source: b.Source.String(), Reason: b.Reason, CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt, Revision: b.Revision}
}
