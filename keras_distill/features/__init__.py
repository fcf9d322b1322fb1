"""The features of a model: layer paths, hooks on layers, extraction, the automatic choice."""

from keras_distill.features.extractor import FeatureExtractor, FeatureModel

__all__ = ["FeatureExtractor", "FeatureModel"]
