"""The registered quantities, in the order of reports: an import line registers one."""

# isort: off
from bandit_router.learning.quantities.reward import QUANTITY as REWARD
from bandit_router.learning.quantities.cost import QUANTITY as COST
from bandit_router.learning.quantities.latency import QUANTITY as LATENCY
from bandit_router.learning.quantities.confident_reward import QUANTITY as CONFIDENT_REWARD
