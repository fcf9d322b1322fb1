"""Feature knowledge: the student's hidden layers imitate the teacher's."""

from keras_distill.losses.feature.activation_boundary import ActivationBoundary
from keras_distill.losses.feature.channel_wise import ChannelWise
from keras_distill.losses.feature.factor_transfer import FactorTransfer
from keras_distill.losses.feature.flow_of_solution import FlowOfSolution
from keras_distill.losses.feature.hidden_states import HiddenStates
from keras_distill.losses.feature.hint_learning import HintLearning
from keras_distill.losses.feature.knowledge_review import KnowledgeReview
from keras_distill.losses.feature.masked_generative import MaskedGenerative
from keras_distill.losses.feature.neuron_selectivity import NeuronSelectivity
from keras_distill.losses.feature.overhaul_feature import OverhaulFeature
from keras_distill.losses.feature.simple_kd import SimpleKD
from keras_distill.losses.feature.variational_information import VariationalInformation

__all__ = [
    "ActivationBoundary",
    "ChannelWise",
    "FactorTransfer",
    "FlowOfSolution",
    "HiddenStates",
    "HintLearning",
    "KnowledgeReview",
    "MaskedGenerative",
    "NeuronSelectivity",
    "OverhaulFeature",
    "SimpleKD",
    "VariationalInformation",
]
