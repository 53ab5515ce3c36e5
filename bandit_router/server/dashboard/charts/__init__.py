"""Charts as SVG: pure functions of numbers, without script and without inline style."""
