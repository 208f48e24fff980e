"""Random problems as hypothesis draws them.

Shapes are drawn from small sets, so that examples share compiled programs.
"""

from hypothesis import strategies as st

from tests.support.problems import make_problem


def problems():
    """Random problems of every kind of call."""
    return st.builds(
        make_problem,
        seed=st.integers(0, 2**32 - 1),
        time=st.sampled_from([0, 1, 2, 7]),
        batch=st.sampled_from([(), (1,), (3,), (2, 3)]),
        sizes=st.sampled_from([(1, 1), (4, 5)]),
        state=st.booleans(),
        lengths=st.booleans(),
        resets=st.booleans(),
        reset_state=st.booleans(),
        reverse=st.booleans(),
    )
