"""The metric that a comparison reports: which one, which way is better, and how it is written."""

import dataclasses
import re

from keras_distill.arguments import check_flag, check_text, closest, shown

_HIGHER = re.compile(
    r"acc|auc|precision|recall|sensitivity|specificity|f1|fbeta|f_?score|io_?u|dice|r2|top_?k|"
    r"cosine_similarity|pearson|correlation|concordance|psnr|ssim|bleu|true_(posi|nega)tives"
)
_LOWER = re.compile(
    r"loss|error|mse|mae|rmse|mape|msle|hinge|crossentropy|divergence|poisson|perplexity|huber|"
    r"log_?cosh|brier|nll|\b[wc]er\b|false_(posi|nega)tives|distance"
)
_SHARE = re.compile(r"acc(uracy)?$|accuracy")


@dataclasses.dataclass(frozen=True)
class Metric:
    """The metric that is reported.

    Args:
        name: Its name in what `evaluate` returns.
        higher_is_better: Whether more of it is better.
    """

    name: str
    higher_is_better: bool

    @property
    def is_share(self):
        """Whether it is written in percent, and its differences in points."""
        return bool(_SHARE.search(self.name))

    @property
    def unit(self):
        """The unit of a difference, with a space before it."""
        return " points" if self.is_share else ""

    def gains(self, values, baseline):
        """Returns how much better values are than those of the baseline, an array.

        Args:
            values: Array.
            baseline: Array of the same length.
        """
        return values - baseline if self.higher_is_better else baseline - values

    def rank(self, value):
        """Returns a number to sort a value by, the best first."""
        return -value if self.higher_is_better else value

    def text(self, value):
        """Returns a value as a reader wants it."""
        return f"{100 * value:.1f}" if self.is_share else f"{value:.4g}"

    def difference(self, value, error):
        """Returns a difference with its standard error, to the digits that the error leaves.

        Args:
            value: The difference.
            error: Its standard error, or NaN for none.
        """
        scale = 100 if self.is_share else 1
        value, error = scale * value, scale * error
        form = ".1f" if self.is_share and not 0 < abs(value) < 0.05 else ".2g"
        return f"{value:{'+' + form}}" + ("" if error != error else f" ± {error:{form}}")

    def spread(self, mean, error):
        """Returns a mean with its standard error.

        Args:
            mean: The mean.
            error: Its standard error, or NaN for none.
        """
        scale, form = (100, ".1f") if self.is_share else (1, ".2g")
        return self.text(mean) + ("" if error != error else f" ± {scale * error:{form}}")


def metric_of(results, name=None, higher_is_better=None):
    """Returns the metric to report.

    Args:
        results: What `evaluate` returned of an untrained student.
        name: Its name, or `None`.
        higher_is_better: Whether more is better, or `None` where its name tells.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there is no such metric, several to choose from, or nothing tells which way
            is better.
    """
    if name is None:
        name = _chosen(results)
    elif check_text("metric", name) not in results:
        raise ValueError(
            "metric must be one of those that the student is compiled with."
            f"{closest(name, results)} They are: {', '.join(results)}. "
            f"Received: metric={shown(name)}"
        )
    if higher_is_better is None:
        is_high, is_low = _HIGHER.search(name.lower()), _LOWER.search(name.lower())
        if bool(is_high) == bool(is_low):
            raise ValueError(
                f"The name of the metric {name!r} doesn't tell whether more of it is better: give "
                "higher_is_better=True or False. Received: higher_is_better=None"
            )
        higher_is_better = bool(is_high)
    return Metric(name, check_flag("higher_is_better", higher_is_better))


def _chosen(results):
    if "accuracy" in results:
        return "accuracy"
    others = [name for name in results if name != "loss" and not name.endswith("_loss")]
    if len(others) > 1:
        raise ValueError(
            f"There are several metrics, {', '.join(others)}: say with metric= which one decides. "
            "Received: metric=None"
        )
    return others[0] if others else "loss"
