"""The example that draws a trained model: its pictures are there, and wrong texts are refused."""

import matplotlib.image
import pytest
from PIL import Image

from examples import pictures
from tests.support.runs import run_here, tiny, write_text_file


@pytest.mark.slow
def test_the_pictures_of_a_trained_model(tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "pictures"
    run_here(tiny(write_text_file(tmp_path)), run)
    text = "zwei Bären, trois élans"
    pictures.main([str(run), "--out", str(out), "--text", text, "--theme", "dark"])
    named = [f"{name}-dark.png" for name in ("gates", "memory", "gradient_flow", "step")]
    animation = "cell-dark.gif"
    assert {path.name for path in out.iterdir()} == {*named, animation}
    assert capsys.readouterr().out.split() == [str(out / name) for name in [*named, animation]]
    for name in named:
        assert matplotlib.image.imread(out / name).std() > 0.05
    with Image.open(out / animation) as image:
        assert image.n_frames == len(text)
    for wrong, message in (("tiger tiger tiger Q", "character 'Q'"), ("tiger", "14 characters")):
        with pytest.raises(SystemExit, match="2"):
            pictures.main([str(run), "--out", str(out), "--text", wrong])
        assert message in capsys.readouterr().err
