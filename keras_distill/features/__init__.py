"""Features of a model: layer paths, hooks on layers, extraction, automatic choice of layers."""

from keras_distill.features.extractor import FeatureExtractor, FeatureModel

__all__ = ["FeatureExtractor", "FeatureModel"]
