package ingestapi

import (
	"sync"
	"time"
)

// usage counts the items of the last day, by the hour, since the server started.
type usage struct {
	mu struct {
		sync.Mutex
		hours [usageHours]hourUsage
	}
}

// usageHours is how far usage looks back, the current hour included.
const usageHours = 24

type hourUsage struct {
	hour             int64 // since the epoch, so that what is older is not taken for new
	contacts, events itemCount
}

// itemCount counts items by their outcome.
type itemCount struct {
	Successful int64 `json:"successful"`
	Failed     int64 `json:"failed"`
}

func (c *itemCount) add(o itemCount) {
	c.Successful += o.Successful
	c.Failed += o.Failed
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// add counts a batch.
func (u *usage) add(now time.Time, contacts, events itemCount) {
	u.mu.Lock()
	defer u.mu.Unlock()
	hour := hourOf(now)
	h := &u.mu.hours[((hour%usageHours)+usageHours)%usageHours]
	if h.hour != hour {
		*h = hourUsage{hour: hour}
	}
	h.contacts.add(contacts)
	h.events.add(events)
}

// recent sums up what was counted in the last usageHours hours.
func (u *usage) recent(now time.Time) (contacts, events itemCount) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, h := range u.mu.hours {
		if age := hourOf(now) - h.hour; age >= 0 && age < usageHours {
			contacts.add(h.contacts)
			events.add(h.events)
		}
	}
	return contacts, events
}
