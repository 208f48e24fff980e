"""Pictures of a layer at work: each function returns a matplotlib figure and displays nothing.

Needs the extra `plot`; matplotlib is imported on use.
"""

from jlstm.plot.animation import animate as animate
from jlstm.plot.diagram import step as step
from jlstm.plot.gradients import gradient_flow as gradient_flow
from jlstm.plot.heatmaps import gates as gates
from jlstm.plot.selection import order_by_memory as order_by_memory
from jlstm.plot.style import DARK as DARK
from jlstm.plot.style import LIGHT as LIGHT
from jlstm.plot.style import Theme as Theme
from jlstm.plot.survival import memory as memory
