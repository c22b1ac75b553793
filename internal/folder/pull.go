package folder

import (
	"context"
	"errors"
	"fmt"
)

// Pull takes over what changed on the server alone. Changes of the folder stay, and
// documents that changed on both sides stay too, unless the choice settles them.
func (f *Folder) Pull(ctx context.Context, server Server, o Choice) (*Result, error) {
	s, end, err := f.begin(ctx, server, o)
	if err != nil {
		return nil, err
	}
	defer end()
	var jobs []job
	for _, e := range s.seen.Entries {
		do, err := s.pulls(ctx, e)
		if err != nil {
			return nil, err
		}
		if do != nil {
			jobs = append(jobs, job{e, do})
		}
	}
	if o.DryRun {
		return s.result, nil
	}
	err = each(ctx, jobs, func(ctx context.Context, j job) error {
		if err := j.do(ctx, j.entry); err != nil {
			return fmt.Errorf("%s: %w", j.entry.Path, err)
		}
		return nil
	})
	return s.result, errors.Join(err, s.finish())
}

// job is what is to be done about an entry.
type job struct {
	entry Entry
	do    func(context.Context, Entry) error
}

// pulls takes down what becomes of an entry, and returns what is to be done.
func (s *session) pulls(ctx context.Context, e Entry) (func(context.Context, Entry) error, error) {
	theirs := covers(s.choice.Theirs, e.Path)
	switch {
	case e.Next == Settle:
		return func(_ context.Context, e Entry) error { return s.settle(e) }, nil
	case e.Next == Pull, e.Next == Clash && theirs, e.Next == Push && theirs && e.there != "":
		e.Here = ""
		if e.There == "" { // the folder's change is undone
			e.There = change(e.here, e.there)
		}
		s.result.Done = append(s.result.Done, e)
		return s.adopt, nil
	case e.Next == Push:
		s.result.Left = append(s.result.Left, e)
	case covers(s.choice.Ours, e.Path):
		e.Next = Push
		s.result.Left = append(s.result.Left, e)
		return s.insist, nil
	default:
		return nil, s.conflict(ctx, e)
	}
	return nil, nil
}

// adopt makes the folder's version the server's.
func (s *session) adopt(ctx context.Context, e Entry) error {
	if e.there == "" {
		if err := s.remove(e.key(), e.here); err != nil {
			return err
		}
		s.forget(e.Path)
		return nil
	}
	h, content, err := s.server.Document(ctx, e.key())
	if errors.Is(err, ErrNotFound) {
		return nil // removed just now: the next pull sees it
	}
	if err != nil {
		return err
	}
	if err := s.write(e.key(), content, e.here); err != nil {
		return err
	}
	return s.remember(e.Path, content, s.metaOf(e.key(), h))
}

// insist keeps the folder's version and takes the server's for what both had last,
// so that a push may go over it.
func (s *session) insist(ctx context.Context, e Entry) error {
	if e.there == "" {
		s.forget(e.Path)
		return nil
	}
	h, content, err := s.server.Document(ctx, e.key())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.remember(e.Path, content, s.metaOf(e.key(), h))
}

// metaOf returns what is known beside a content: a list tells more than an answer
// that carries one.
func (s *session) metaOf(k Key, h Head) Meta {
	if listed, ok := s.seen.heads[k]; ok && listed.MD5 == h.MD5 {
		return listed.Meta
	}
	return h.Meta
}

// Clone makes dir a folder of what the server has.
func Clone(ctx context.Context, server Server, dir string, of Origin, o Choice) (*Result, error) {
	if _, _, err := server.Heads(ctx); err != nil {
		return nil, err // before there is anything to clean up
	}
	f, err := Create(dir, of)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Pull(ctx, server, o)
}

// SetServers makes the folder remember where its server is now, if that changed.
func (f *Folder) SetServers(servers []string) error {
	release, err := f.take()
	if err != nil {
		return err
	}
	defer release()
	f.Servers = servers
	return f.save()
}
