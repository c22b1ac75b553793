package render

import (
	"fmt"
	"slices"
	"text/template/parse"
)

// survey walks through a template before it is used: it notes the documents
// that are named in words and which template uses which, and puts a step into
// every loop and a tick before every action.
type survey struct {
	name   string
	within string // the template that is walked through
	reads  []Document
	calls  map[string][]string
}

// calling returns the action that calls a function of that name.
func calling(name string) parse.Node {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe,
		Cmds: []*parse.CommandNode{{NodeType: parse.NodeCommand, Args: []parse.Node{
			parse.NewIdentifier(name),
		}}},
	}}
}

func (s *survey) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	nodes := make([]parse.Node, 0, 2*len(l.Nodes))
	for _, n := range l.Nodes {
		if n.Type() != parse.NodeText {
			nodes = append(nodes, calling(tickName))
		}
		nodes = append(nodes, n)
		switch n := n.(type) {
		case *parse.ActionNode:
			s.pipe(n.Pipe)
		case *parse.IfNode:
			s.branch(&n.BranchNode)
		case *parse.WithNode:
			s.branch(&n.BranchNode)
		case *parse.RangeNode:
			s.branch(&n.BranchNode)
			n.List.Nodes = append([]parse.Node{calling(stepName)}, n.List.Nodes...)
		case *parse.TemplateNode:
			s.calls[s.within] = append(s.calls[s.within], n.Name)
			s.pipe(n.Pipe)
		}
	}
	l.Nodes = nodes
}

func (s *survey) branch(b *parse.BranchNode) {
	s.pipe(b.Pipe)
	s.list(b.List)
	s.list(b.ElseList)
}

func (s *survey) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for i, c := range p.Cmds {
		s.config(c, i > 0)
		for _, arg := range c.Args {
			switch arg := arg.(type) {
			case *parse.PipeNode:
				s.pipe(arg)
			case *parse.ChainNode:
				if inner, ok := arg.Node.(*parse.PipeNode); ok {
					s.pipe(inner)
				}
			}
		}
	}
}

// config notes the document that a call of config names. A value that is piped
// into it would be its last word, and is computed.
func (s *survey) config(c *parse.CommandNode, piped bool) {
	if called, ok := c.Args[0].(*parse.IdentifierNode); !ok || called.Ident != configName || piped {
		return
	}
	var words []string
	for _, arg := range c.Args[1:] {
		text, ok := arg.(*parse.StringNode)
		if !ok {
			return
		}
		words = append(words, text.Text)
	}
	if len(words) == 0 || len(words) > 3 {
		return // it will fail when it is called
	}
	d := documentOf(words)
	if !slices.Contains(s.reads, d) {
		s.reads = append(s.reads, d)
	}
}

// documentOf returns the document that the words after config name.
func documentOf(words []string) Document {
	words = append(words, "", "")
	return Document{DataID: words[0], Group: words[1], Namespace: words[2]}
}

// circle returns an error when a template uses itself, by whatever way.
func (s *survey) circle() error {
	const (
		under = 1 + iota // its uses are being followed
		fine
	)
	state := make(map[string]int)
	var follow func(name string) error
	follow = func(name string) error {
		switch state[name] {
		case under:
			return fmt.Errorf("template %s: %q uses itself", s.name, name)
		case fine:
			return nil
		}
		state[name] = under
		for _, used := range s.calls[name] {
			if err := follow(used); err != nil {
				return err
			}
		}
		state[name] = fine
		return nil
	}
	for name := range s.calls {
		if err := follow(name); err != nil {
			return err
		}
	}
	return nil
}
