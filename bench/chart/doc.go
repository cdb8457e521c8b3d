// Package chart draws bar and line charts as SVG, for the documentation.
//
// It promises:
//
//	C1  A figure is text of some kilobytes, the same bytes for the same values, so that a
//	    change of it can be read in review.
//	C2  It can be read on light and on dark ground: it follows what the reader's system
//	    prefers, and brings its own ground.
//	C3  Every axis has a label, and every bar its value.
//
// It knows nothing of what is measured. A library for plots would bring fonts and a dozen
// modules for what is a few hundred lines here. All is immutable, and may be used
// concurrently.
package chart
