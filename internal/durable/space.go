package durable

import (
	"errors"
	"syscall"
)

// IsNoSpace reports whether an operation failed because the disk is full or a quota is
// used up. These failures pass when somebody makes room; no other one is known to.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
