package clients

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// jdbcDriver is what Maven copies.
const jdbcDriver = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"

// TestJDBCReads shows K5 and K6 for the Flight SQL driver of Java.
func TestJDBCReads(t *testing.T) {
	need(t, "jdbc", "java", "mvn")
	cmd := javaCommand(mustInstall(t, installJDBC), filepath.Join("testdata", "java", "FlightSqlJdbc.java"))
	newStage(t).play(t, "read-jdbc", cmd)
}

func installJDBC() (string, error) {
	return install("jdbc", nil,
		step{"mvn", "--quiet", "--batch-mode", "dependency:copy", "-Dartifact=" + jdbcDriver, "-DoutputDirectory=."})
}

// javaCommand runs a program with the driver, which reaches into the memory of java.nio.
func javaCommand(home, program string) *exec.Cmd {
	return exec.Command("java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", filepath.Join(home, "*"), program)
}
