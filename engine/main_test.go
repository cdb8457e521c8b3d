package engine_test

import (
	"testing"

	"go.uber.org/goleak"
)

// An engine leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
