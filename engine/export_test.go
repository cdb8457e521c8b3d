package engine

// PurgeDue is what the engine does once a minute.
func (e *Engine) PurgeDue() {
	e.removeDue()
}

// Heal does what the healer does when something ran out of space, now.
func (e *Engine) Heal() error { return e.heal() }

// Look reads how much of the disk is free, as each tick does.
func (e *Engine) Look() { e.look() }
