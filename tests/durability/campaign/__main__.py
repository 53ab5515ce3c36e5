"""Run every campaign and print what was lost or doubled: 1 is the exit code when anything was.

python -m tests.durability.campaign --seconds 600 --seed 1
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait for each other on a busy machine

from tests.durability.campaign import faults
from tests.durability.campaign.gateway import campaign as gateway
from tests.durability.campaign.nouns import Campaign
from tests.durability.campaign.report import format_report
from tests.durability.campaign.runner import run_campaign
from tests.durability.campaign.sites import make_sites

CAMPAIGNS: tuple[Campaign, ...] = (faults.CAMPAIGN, gateway.CAMPAIGN)


def main(arguments: Sequence[str] | None = None, campaigns: Sequence[Campaign] = CAMPAIGNS) -> int:
    """Share the time between the campaigns; 0 when nothing is lost or doubled and every control is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.durability.campaign", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for all campaigns together")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the order, the moments and the sizes of faults"
    )
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="bandit-router-campaign-"))
    with make_sites(folder) as sites:
        rng, share_s = random.Random(options.seed), options.seconds / len(campaigns)
        results = [run_campaign(campaign, sites, rng, share_s) for campaign in campaigns]
    print(format_report(results))
    if not all(result.ok for result in results):
        print(f"the databases and logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    logging.disable()  # what is struck complains at length; services have logs of their own
    sys.exit(main())
