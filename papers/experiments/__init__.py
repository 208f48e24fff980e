"""The experiments, by paper."""

from papers.experiments import (
    copying,
    gers2000,
    gradients,
    hochreiter1997,
    mackey_glass,
    real_data,
)

SECTIONS = (hochreiter1997, gers2000, real_data, mackey_glass, gradients, copying)
ROWS = {row.name: row for section in SECTIONS for row in section.ROWS}
