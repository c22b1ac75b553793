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
)

var codeTexts = map[code]string{
	success:           "success",
	paramMissing:      "parameter missing",
	accessDenied:      "access denied",
	dataAccess:        "data access error",
	paramInvalid:      "parameter validate error",
	resourceNotFound:  "resource not found",
	resourceConflict:  "resource conflict",
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
