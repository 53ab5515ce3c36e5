"""Charts of results: traces and layouts for plotly.js, in JSON types."""
