package nacos

import "net/http"

// code is what versions 2 and 3 of the API say of an outcome, beside the status.
type code int

// Codes of outcomes.
const (
	success           code = 0
	paramMissing      code = 10000
	accessDenied      code = 10001
	dataAccess        code = 10002
	paramInvalid      code = 20002
	resourceNotFound  code = 20004
	resourceConflict  code = 20005
	grayTooMany       code = 20010
	grayRuleFormat    code = 20011
	grayRuleVersion   code = 20012
	grayNameUnknown   code = 20013
	quotaOfGroup      code = 5032
	quotaOfNamespace  code = 5033
	quotaOfSize       code = 5034
	weightError       code = 21001
	metadataError     code = 21002
	instanceNotFound  code = 21003
	instanceError     code = 21004
	serviceMetadata   code = 21005
	selectorError     code = 21006
	serviceExists     code = 21007
	serviceNotFoundV2 code = 21008
	serviceDelete     code = 21009
	healthMissing     code = 21010
	healthRunning     code = 21011
	namespaceIllegal  code = 22000
	namespaceUnknown  code = 22001
	namespaceExists   code = 22002
	illegalState      code = 23000
	serverError       code = 30000
	functionDisabled  code = 40001
	importNamespace   code = 100001
	importMetadata    code = 100002
	importUnreadable  code = 100004
	importEmpty       code = 100005
	nothingSelected   code = 100006
)

var codeTexts = map[code]string{
	success:           "success",
	paramMissing:      "parameter missing",
	accessDenied:      "access denied",
	dataAccess:        "data access error",
	paramInvalid:      "parameter validate error",
	resourceNotFound:  "resource not found",
	resourceConflict:  "resource conflict",
	grayTooMany:       "config gray version version over max count", // sic
	grayRuleFormat:    "config gray rule format invalid",
	grayRuleVersion:   "config gray rule version invalid",
	grayNameUnknown:   "config gray name not recognized",
	quotaOfGroup:      "group capacity reach quota",
	quotaOfNamespace:  "tenant capacity reach quota",
	quotaOfSize:       "config content size is over limit",
	weightError:       "weight error",
	metadataError:     "instance metadata error",
	instanceNotFound:  "instance not found",
	instanceError:     "instance error",
	serviceMetadata:   "service metadata error",
	selectorError:     "selector error",
	serviceExists:     "service already exist",
	serviceNotFoundV2: "service not exist",
	serviceDelete:     "service delete failure",
	healthMissing:     "healthy param miss",
	healthRunning:     "health check still running",
	namespaceIllegal:  "illegal namespace",
	namespaceUnknown:  "namespace not exist",
	namespaceExists:   "namespace already exist",
	illegalState:      "illegal state",
	serverError:       "server error",
	functionDisabled:  "API function disabled.",
	importNamespace:   "namespace does not exist",
	importMetadata:    "the metadata of the file is illegal",
	importUnreadable:  "the file cannot be read",
	importEmpty:       "there is nothing in the file to import",
	nothingSelected:   "nothing is selected",
}

// status returns the HTTP status that goes with a failure's code.
func (c code) status() int {
	switch c {
	case accessDenied:
		return http.StatusForbidden
	case resourceNotFound, namespaceUnknown:
		return http.StatusNotFound
	case dataAccess, resourceConflict, serverError:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// codeOf returns the code of a failure that has none of its own.
func codeOf(status int) code {
	switch status {
	case http.StatusBadRequest:
		return paramInvalid
	case http.StatusForbidden:
		return accessDenied
	case http.StatusNotFound:
		return resourceNotFound
	case http.StatusConflict:
		return resourceConflict
	}
	return serverError
}
