"""Attention knowledge: the student looks where the teacher looks."""

from keras_distill.losses.attention.attention_capture import AttentionCapture
from keras_distill.losses.attention.attention_map_alignment import AttentionMapAlignment
from keras_distill.losses.attention.attention_transfer import AttentionTransfer
from keras_distill.losses.attention.class_attention_transfer import ClassAttentionTransfer
from keras_distill.losses.attention.gradient_attention_transfer import GradientAttentionTransfer
from keras_distill.losses.attention.head_attention import HeadAttention
from keras_distill.losses.attention.self_attention_relation import SelfAttentionRelation

__all__ = [
    "AttentionCapture",
    "AttentionMapAlignment",
    "AttentionTransfer",
    "ClassAttentionTransfer",
    "GradientAttentionTransfer",
    "HeadAttention",
    "SelfAttentionRelation",
]
