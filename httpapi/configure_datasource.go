package httpapi

import "net/http"

// datasourceBody is a datasource of the Ingest API. The database is what the answer adds.
type datasourceBody struct {
	Project    string `json:"project"`
	Datasource string `json:"datasource"`
	Database   string `json:"database"`
}

func (s *Server) createDatasource(b *backend, w http.ResponseWriter, r *http.Request) error {
	var body datasourceBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return err
	}
	if err := requireFields("project", body.Project, "datasource", body.Datasource); err != nil {
		return err
	}
	ds, err := b.engine.CreateDatasource(body.Project, body.Datasource)
	if err != nil {
		return configureError(err, body.Project+"/"+body.Datasource)
	}
	writeJSON(w, http.StatusCreated, datasourceBody{ds.Project, ds.Name, ds.Database})
	return nil
}

func (s *Server) listDatasources(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	list := newListing(textColumn("project"), textColumn("datasource"), textColumn("database"), textColumn("created_at"))
	for _, ds := range b.engine.Datasources() {
		list.add(textCell(ds.Project), textCell(ds.Name), textCell(ds.Database), timeCell(ds.Created))
	}
	return list.answer(w, p.format())
}
