"""Who teaches whom: several teachers, assistants, students that teach themselves, robust ones."""

from keras_distill.schemes.adversarially_robust import AdversariallyRobust
from keras_distill.schemes.attacks import pgd, robust_accuracy
from keras_distill.schemes.be_your_own_teacher import BeYourOwnTeacher
from keras_distill.schemes.born_again import BornAgain
from keras_distill.schemes.catalogue import Scheme, catalogue
from keras_distill.schemes.chain import Chain, distill_chain
from keras_distill.schemes.data_free_distiller import DataFreeDistiller
from keras_distill.schemes.domain_distiller import DomainDistiller
from keras_distill.schemes.learning_without_forgetting import LearningWithoutForgetting
from keras_distill.schemes.moving_average_teacher import MovingAverageTeacher
from keras_distill.schemes.mutual_distiller import MutualDistiller
from keras_distill.schemes.online_ensemble import OnlineEnsemble
from keras_distill.schemes.progressive_self import ProgressiveSelf
from keras_distill.schemes.sequences import sequence_targets
from keras_distill.schemes.synthesis import synthesize
from keras_distill.schemes.teacher_ensemble import TeacherEnsemble

__all__ = [
    "AdversariallyRobust",
    "BeYourOwnTeacher",
    "BornAgain",
    "Chain",
    "DataFreeDistiller",
    "DomainDistiller",
    "LearningWithoutForgetting",
    "MovingAverageTeacher",
    "MutualDistiller",
    "OnlineEnsemble",
    "ProgressiveSelf",
    "Scheme",
    "TeacherEnsemble",
    "catalogue",
    "distill_chain",
    "pgd",
    "robust_accuracy",
    "sequence_targets",
    "synthesize",
]
