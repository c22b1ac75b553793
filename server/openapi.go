package server

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/server/nacos"
)

// describe adds the Nacos calls to the document of our own API.
func describe(document *huma.OpenAPI, operations []nacos.Operation) {
	for _, o := range operations {
		document.AddOperation(operationOf(o))
	}
}

func operationOf(o nacos.Operation) *huma.Operation {
	out := &huma.Operation{OperationID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Summary,
		Tags: []string{"nacos"}, Responses: map[string]*huma.Response{}}
	out.Extensions = map[string]any{extensionNeeds: o.Needs.String()}
	form := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, p := range o.Parameters {
		schema := &huma.Schema{Type: p.Type, Description: p.Description}
		if p.In != "form" {
			out.Parameters = append(out.Parameters, &huma.Param{Name: p.Name, In: p.In, Required: p.Required,
				Description: p.Description, Schema: &huma.Schema{Type: p.Type}})
			continue
		}
		form.Properties[p.Name] = schema
		if p.Required {
			form.Required = append(form.Required, p.Name)
		}
	}
	if len(form.Properties) > 0 {
		out.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
			"application/x-www-form-urlencoded": {Schema: form}}}
	}
	for _, r := range o.Responses {
		status := strconv.Itoa(r.Status)
		response := out.Responses[status]
		if response == nil {
			response = &huma.Response{Description: r.Description}
			out.Responses[status] = response
		}
		if r.ContentType != "" {
			if response.Content == nil {
				response.Content = map[string]*huma.MediaType{}
			}
			response.Content[r.ContentType] = &huma.MediaType{Schema: &huma.Schema{}}
		}
	}
	return out
}
