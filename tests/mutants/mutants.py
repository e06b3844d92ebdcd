"""Planted bugs: each is one change of the source that a person could make, and the tests that must see it.

A change is (name, file below src/morphogen, old text, new text, arguments of pytest). The old text must be there once.
Arguments name the smallest set of tests that has to catch it, in seconds; `run.py` plants them one at a time.
"""
# ruff: noqa: E501  (a table reads best with one line for each)

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MUTANTS", "Mutant"]

TRUTH, TRAIN, CONTRACT = "tests/test_truth.py", "tests/test_train.py", "tests/test_contract.py"
GAMES, SCORES, GAN = "tests/test_games.py", "tests/test_scores.py", "models/gan.py"
DATA, GOLDEN, RANKS, CRASH = (
    "tests/test_data.py",
    "tests/test_golden.py",
    "tests/test_ranks.py",
    "tests/crash/test_crash.py",
)


class Mutant(NamedTuple):
    """One planted bug."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def at(file: str, words: str) -> tuple[str, ...]:
    return (file, "-k", words)


RESUMING = at(TRAIN, "resuming_from_any_step or saved_run or signal_saves")
BITS, LOSSY, INTEGERS = "tests/test_bitsback.py", "tests/test_lossy.py", "tests/test_integers.py"
EDIT, AUGMENT, RUNS = "tests/test_edit.py", "tests/test_augment.py", "tests/test_run_folder.py"
RESTORE, CLASSIFY, SPREADING = "tests/test_restore.py", "tests/test_classify.py", "tests/test_spreading.py"
DETECT, TABLES = "tests/test_detect.py", "tests/test_tables.py"
DISTRIBUTION, OPTIM, LOGISTICS = "core/distribution.py", "optim.py", "families/logistics.py"

# fmt: off
MUTANTS = [
    # Likelihoods and rates
    Mutant("kl: wrong sign", DISTRIBUTION, "shift * shift - 1) - log_ratio", "shift * shift - 1) + log_ratio", at(TRUTH, "kl or elbo")),
    Mutant("kl: the half is missing", DISTRIBUTION, "return 0.5 * (torch.exp(2 * log_ratio)", "return (torch.exp(2 * log_ratio)", at(TRUTH, "kl or elbo")),
    Mutant("kl: scales the other way round", DISTRIBUTION, "log_ratio = self.log_scale - other.log_scale", "log_ratio = other.log_scale - self.log_scale", at(TRUTH, "kl or elbo")),
    Mutant("normal: log scale taken for the scale", DISTRIBUTION, "(x - self.mean) * torch.exp(-self.log_scale)", "(x - self.mean) / self.log_scale", at(TRUTH, "scipy or elbo")),
    Mutant("normal: variance taken for the scale", DISTRIBUTION, "torch.addcmul(self.mean, eps.to(self.mean.dtype), torch.exp(self.log_scale))", "torch.addcmul(self.mean, eps.to(self.mean.dtype), torch.exp(2 * self.log_scale))", at(TRUTH, "draw")),
    Mutant("normal: log scale not subtracted", DISTRIBUTION, "* standard * standard - self.log_scale - HALF_LOG_TAU", "* standard * standard - HALF_LOG_TAU", at(TRUTH, "scipy or elbo")),
    Mutant("normal: half the log of tau", DISTRIBUTION, "HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)", "HALF_LOG_TAU = 0.5 * math.log(math.pi)", at(TRUTH, "scipy or elbo")),
    Mutant("elements: mean for sum", DISTRIBUTION, "return each.sum(dim=tuple", "return each.mean(dim=tuple", at(TRUTH, "scipy or elbo or kl")),
    Mutant("mixture: weights not normalised", DISTRIBUTION, "torch.log_softmax(log_weight, 0), parts", "log_weight, parts", at(TRUTH, "mixture")),
    Mutant("mixture: constant without the squared mean", DISTRIBUTION, "(mean * mean * half + log_scale + HALF_LOG_TAU)", "(log_scale + HALF_LOG_TAU)", at(TRUTH, "mixture")),
    Mutant("vamp: pseudo-examples not squashed", "priors/vamp.py", "posterior(torch.sigmoid(self.pseudo) if self.unit else self.pseudo)", "posterior(self.pseudo)", at(TRUTH, "vamp")),
    Mutant("inference: q and p exchanged", "core/inference.py", "return self.p.log_prob(self.z) - self.q.log_prob(self.z)", "return self.q.log_prob(self.z) - self.p.log_prob(self.z)", at(TRUTH, "elbo or importance or bound")),
    Mutant("inference: rate of another draw's sign", "core/inference.py", "return -self.log_ratio if closed is None", "return self.log_ratio if closed is None", at(TRUTH, "rate")),
    Mutant("bound: log S missing", "terms/bound.py", "math.log(len(log_weight)) - torch", "-torch", at(TRUTH, "bound or terms")),
    Mutant("bound: mean of logs", "terms/bound.py", "math.log(len(log_weight)) - torch.logsumexp(log_weight, 0)", "-log_weight.mean(0)", at(TRUTH, "bound or terms")),
    Mutant("score: log S missing", "metrics/likelihood.py", "total - math.log(samples)", "total", at(TRUTH, "importance or tightens")),
    Mutant("score: bits without ln 2", "metrics/likelihood.py", "(self.space.size * math.log(2))", "self.space.size", at(TRUTH, "bits")),
    Mutant("score: bits per datum", "metrics/likelihood.py", "(self.space.size * math.log(2))", "math.log(2)", at(TRUTH, "bits")),
    Mutant("score: one-sided interval", "metrics/likelihood.py", "tail = (1 - level) / 2", "tail = 1 - level", at(TRUTH, "interval")),
    Mutant("score: interval of single values", "metrics/likelihood.py", ", len(values)), generator=generator)].mean(1)", ", len(values)), generator=generator)][:, 0]", at(TRUTH, "interval")),
    Mutant("score: model left in training", "metrics/likelihood.py", "        model.eval()\n", "        model.train()\n", at(TRUTH, "used_not_as")),
    Mutant("bernoulli: sign of the logit", "families/bernoulli.py", "x * self.logits - F.softplus(self.logits", "x * self.logits - F.softplus(-self.logits", at(TRUTH, "bernoulli or scipy")),
    Mutant("categorical: softmax over the wrong axis", "families/categorical.py", "torch.log_softmax(logits, self.axis)", "torch.log_softmax(logits, -1)", at(TRUTH, "categorical")),
    Mutant("laplace: log 2 missing", "families/laplace.py", " - self.log_scale - math.log(2)", " - self.log_scale", at(TRUTH, "scipy")),
    Mutant("logistics: the last bin ends", LOGISTICS, "above * F.softplus(away - wide)", "F.softplus(away - wide)", at(TRUTH, "logistics")),
    Mutant("logistics: levels for levels - 1", LOGISTICS, "half = 1 / (self.levels - 1)", "half = 1 / self.levels", at(TRUTH, "logistics")),
    Mutant("logistics: link of another colour", LOGISTICS, "mean = mean + next(links) * colour", "mean = mean + next(links) * colours[0]", at(TRUTH, "logistics")),
    Mutant("logistics: mixture weights not normalised", LOGISTICS, "torch.log_softmax(self.logits, depth_axis)", "self.logits", at(TRUTH, "logistics")),
    # Terms and schedules
    Mutant("free bits: the maximum before the mean", "terms/rate.py", ".mean(0).clamp_min(self.floor).sum()", ".clamp_min(self.floor).mean(0).sum()", at(GOLDEN, "free")),
    Mutant("capacity: sign", "terms/rate.py", "(inference.rate.mean() - self.target(step)).abs()", "inference.rate.mean() - self.target(step)", at(TRUTH, "terms")),
    Mutant("penalty: L2 without the half", "terms/penalty.py", "0.5 * x * x", "x * x", at(TRUTH, "terms or penalty")),
    Mutant("ramp: never arrives", "core/schedule.py", "_between((step - wait) / max(steps, 1)", "_between((step - wait) / max(2 * steps, 1)", at(TRUTH, "schedules")),
    Mutant("model: the weight of a term left out", "models/vae.py", "term.weight(step) * term(inference, step).mean()", "term(inference, step).mean()", at(CONTRACT, "weights_of_terms")),
    Mutant("model: sum over the batch", "models/vae.py", "term.weight(step) * term(inference, step).mean()", "term.weight(step) * term(inference, step).sum()", at(TRAIN, "micro_batches_give")),
    # Data
    Mutant("pixels: 256 for 255", "core/space.py", ".to(torch.float32).mul_(1.0 / top)", ".to(torch.float32).mul_(1.0 / (top + 1))", at(GOLDEN, "classic and normal")),
    Mutant("labels of the next row", "data/batches.py", "y, guesses = self._of(self._y, rows), ", "y, guesses = self._of(self._y.roll(1) if self._y is not None else None, rows), ", at(GOLDEN, "conditional")),
    Mutant("binarisation with the wrong chance", "data/binary.py", "x * (1.0 / self.top)", "x * (1.0 / (2 * self.top))", at(DATA, "binarisation")),
    Mutant("binarisation: the same coins at every step", "data/batches.py", '"view", step, self.start', '"view", 0, self.start', at(DATA, "binarisation")),
    Mutant("split: validation leaks into training", "data/split.py", '{"train": place >= high,', '{"train": place >= low,', at(DATA, "split")),
    Mutant("split: duplicates part", "data/split.py", "place = hashes.astype(np.float64) / 2.0**32", "place = np.random.default_rng(0).permutation(hashes.astype(np.float64)) / 2.0**32", at(DATA, "split")),
    Mutant("order: one epoch for ever", "data/batches.py", 'Noise(self.seed, self.stream, number)', 'Noise(self.seed, self.stream, 0)', at(DATA, "epoch")),
    Mutant("order: not by seed", "data/batches.py", 'Noise(self.seed, self.stream, number)', 'Noise(0, self.stream, number)', at(DATA, "batch or epoch")),
    # Noise
    Mutant("noise not counted by step", "core/noise.py", "{self.seed}/{self.stream}/{self.step}/{self.draws}", "{self.seed}/{self.stream}/{self.draws}", at(TRAIN, "noise_depends")),
    Mutant("noise not counted by draw", "core/noise.py", "        self.draws += 1\n", "", at(TRAIN, "noise_depends")),
    Mutant("noise not by place in the batch", "core/noise.py", ".narrow(axis, self.start, rows)", ".narrow(axis, 0, rows)", at(TRAIN, "micro_batches_give")),
    Mutant("noise from the global generator", "core/noise.py", "    if _current is None:\n", "    if True:\n", RESUMING),
    # Training
    Mutant("average: the wrong way", OPTIM, "(self.mine, self.theirs, 1 - keep)", "(self.mine, self.theirs, keep)", at(TRAIN, "average")),
    Mutant("average: never updated", "train.py", "        training.average.update(training.step)\n", "", at(TRAIN, "average")),
    Mutant("average: statistics stay behind", OPTIM, "            mine.copy_(theirs)\n", "            pass\n", at(TRAIN, "average")),
    Mutant("average: does not forget its start", OPTIM, "keep = min(self.decay, (1 + step) / (10 + step))", "keep = self.decay", at(TRAIN, "average")),
    Mutant("average: not resumed", "train.py", 'fill(self.average.average, groups.pop("average", {}), where)', 'groups.pop("average", {})', RESUMING),
    Mutant("moments not resumed", OPTIM, "            own[key].copy_(value)\n", "            pass\n", RESUMING),
    Mutant("step not resumed", "train.py", 'KEPT = ("step", "elapsed"', 'KEPT = ("elapsed"', RESUMING),
    Mutant("record under way not resumed", "train.py", 'self.sums = {k: v.to(self.ranks.device) for k, v in groups.pop("sum", {}).items()}', 'groups.pop("sum", {})', RESUMING),
    Mutant("the log keeps what was lost", "train.py", '            self.run.forget_after(self.step, facts.get("valid"))\n', "            pass\n", RESUMING),
    Mutant("gradients go to every player", "train.py", "inputs=list(self.team[turn.player].values()), retain_graph=turn.keep", "retain_graph=turn.keep", at(TRAIN, "player")),
    Mutant("micro-batches weigh one each", "train.py", "(turn.loss * weight if weight != 1 else turn.loss)", "turn.loss", at(TRAIN, "micro_batches_give")),
    Mutant("micro-batches all in memory", "train.py", "        for game, weight in games:\n            turn = next(game, None)\n", "        for turn, weight in [(next(game, None), weight) for game, weight in games]:\n", at(TRAIN, "save_memory")),
    Mutant("clipping off", OPTIM, "(norm / self.clip).clamp_min(1.0)", "(norm / self.clip).clamp_min(1.0).clamp_max(1.0)", at(TRAIN, "clipping")),
    Mutant("clipping always", OPTIM, "(norm / self.clip).clamp_min(1.0)", "(norm / self.clip)", at(TRAIN, "clipping")),
    Mutant("decay of biases too", OPTIM, "self.decay if decayed else 0.0", "self.decay", at(TRAIN, "clipping")),
    Mutant("warm-up a step late", OPTIM, "min((step + 1) / warmup, 1.0)", "min(step / warmup, 1.0)", at(TRAIN, "learning_rate")),
    Mutant("cosine inverted", OPTIM, "(1 + math.cos(", "(1 - math.cos(", at(TRAIN, "learning_rate")),
    Mutant("guard off: what is not finite moves weights", OPTIM, "found_inf = (norm < self.skip).logical_not().float()", "found_inf = torch.zeros_like(norm)", at(TRAIN, "not_finite")),
    Mutant("roll-back keeps the bad state", "recovery.py", "        if self.resume():\n            return\n", "        return\n", at(TRAIN, "not_finite or broken or roll")),
    Mutant("roll-back keeps the learning rate", "recovery.py", "self.caution * 0.5", "self.caution * 1.0", at(TRAIN, "not_finite or roll")),
    Mutant("roll-back for ever", "recovery.py", "if len(shunned) > ROLL_BACKS:", "if False:", at(TRAIN, "three_roll")),
    Mutant("saves what is not finite", "recovery.py", "        if thoroughly and int(self.broken) == NEVER:\n", "        if False:\n", at(TRAIN, "broken_statistic")),
    Mutant("out of memory forgets half a step", "recovery.py", "if self.moved or self._remembers():", "if False:", at(TRAIN, "half_way")),
    Mutant("patience never ends", "session.py", "self.stale >= self.plan.patience", "False", at(TRAIN, "patience")),
    Mutant("patience keeps the last weights", "session.py", "latest = self.plan.patience is None or self.best is None", "latest = True", at(TRAIN, "patience_ends")),
    Mutant("data that changed is taken", "session.py", '    if data.fingerprint != run.facts["fingerprint"]:\n', "    if False:\n", at(TRAIN, "data_that_changed")),
    Mutant("a signal loses the step", "session.py", "                if stopped or self._out_of_patience():\n", "                if stopped:\n                    self.training.step -= 1\n                if stopped or self._out_of_patience():\n", at(TRAIN, "signal_saves")),
    # Ranks
    Mutant("ranks: mean for sum", "ranks.py", "        distributed.all_reduce(flat)\n", "        distributed.all_reduce(flat)\n        flat /= self.world\n", at(RANKS, "two_processes")),
    Mutant("ranks: nobody compares", "ranks.py", "        if differ:\n", "        if False:\n", at(RANKS, "disagree")),
    Mutant("ranks: everybody has the first share", "train.py", "rank=ranks.rank, world=ranks.world", "rank=0, world=ranks.world", at(RANKS, "two_processes")),
    # The disk
    Mutant("no rename: written in place", "atomic.py", "            _take(temporary, path.name, folder, force)\n", "            path.write_bytes(path.with_name(temporary).read_bytes())\n", at(CRASH, "every_call")),
    Mutant("no fsync", "atomic.py", "            os.fsync(file.fileno())\n", "            pass\n", at(CRASH, "every_call")),
    Mutant("what is written is not read back", "atomic.py", "            if not whole(path.with_name(temporary)):\n", "            if False:\n", at(CRASH, "every_call")),
    Mutant("the seal is not checked", "disk.py", "    if metadata.get(SEAL) != fingerprint(tensors, said):\n", "    if False:\n", at(CRASH, "flipped or damaged_weights")),
    Mutant("the seal forgets the facts", "disk.py", "sha = hashlib.sha256(facts.encode())", "sha = hashlib.sha256()", at(CRASH, "flipped")),
    Mutant("the manifest is not checked", "run.py", "disk.digest(self.path / name) != sha256", "False", at(CRASH, "behind_our_back")),
    Mutant("states of other runs are taken", "run.py", 'if facts.get("run") != self.identity:', "if False:", at(CRASH, "damaged_weights or gives_way")),
    Mutant("the older state goes first", "run.py", "        disk.seal(new, tensors,", "        for path in self.states():\n            path.unlink()\n        disk.seal(new, tensors,", at(CRASH, "every_call")),
    Mutant("only one state is kept", "run.py", "KEPT_STATES = 2", "KEPT_STATES = 1", at(CRASH, "every_call")),
    Mutant("a damaged state ends the run", "run.py", "                troubles.append(str(error))\n                continue\n", "                raise\n", at(CRASH, "gives_way")),
    Mutant("game: the generator plays the critic's side", "games/r3.py", "return F.softplus(real - fake)", "return F.softplus(fake - real)", at(GAMES, "opposed")),
    Mutant("slopes in the wrong unit", "core/game.py", "0.5 if space.levels else 1.0", "1.0", at(GAMES, "closed_form")),
    Mutant("a lazy penalty weighs once", "core/game.py", "self.weight(step) * self.every * self(*shown)", "self.weight(step) * self(*shown)", at(GAMES, "lazy")),
    Mutant("the generator moves a step early", GAN, "(step + 1) % self.steps == 0", "step % self.steps == 0", at(GAMES, "once_in_so_many")),
    Mutant("the critic is not held", GAN, "        with held(self.critic):\n            features", "        if True:\n            features", at(GAMES, "costs_nothing")),
    Mutant("ada runs away from the critic", "augments/ada.py", "torch.sign(self.signal - self.target)", "torch.sign(self.target - self.signal)", at(GAMES, "ada")),
    Mutant("ada hears the level of scores", "augments/ada.py", "(real - (real.mean() + fake.mean()) / 2).sign()", "real.sign()", at(GAMES, "ada")),
    Mutant("ada learns in use", "augments/ada.py", "        if self.training:\n            self.signal", "        if True:\n            self.signal", at(GAMES, "ada")),
    Mutant("descent keeps the last code", "models/inversion.py", "better = apart.detach() < least", "better = apart.detach() < float('inf')", at(GAMES, "best")),
    Mutant("the worst start goes on", "models/inversion.py", "apart.argmin(0)", "apart.argmax(0)", at(GAMES, "best")),
    Mutant("labels fall silent", "core/conditional.py", " * math.sqrt(labels.length)", "", at(GOLDEN, "conditional")),
    Mutant("fid: half of the cross term", "metrics/frechet.py", "- 2 * cross", "- cross", at(SCORES, "frechet or fid")),
    Mutant("two processes train one run", "run_folder.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", at(CRASH, "one_process")),
    Mutant("a race overwrites", "atomic.py", "    if not force:\n        try:\n", "    if False:\n        try:\n", at(RUNS, "writers_at_once or taken_while")),
    Mutant("a link is followed", "run_folder.py", "os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW", "os.O_APPEND | os.O_CREAT", at(RUNS, "gets_no_line")),
    Mutant("a folder of links is written into", "run_folder.py", "        if (path / name).is_symlink():\n", "        if False:\n", at(RUNS, "folder_that_is_a_link")),
    Mutant("metadata in any order", "tensor_file.py", "names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))", "names = list(tensors)", at(RUNS, "same_tensors")),
    Mutant("files of the living are swept", "atomic.py", "            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while somebody writes it\n", "            pass\n", at(RUNS, "of_the_dead")),
    Mutant("a folder of the user's is made a run", "run_folder.py", "(held and MARKER not in held)", "False", at(RUNS, "refused_and_untouched")),
    # The codec
    Mutant("codec: a push forgets the start", "codec/ans.py", "(whole << bits) + rest + start", "(whole << bits) + rest", at(BITS, "pushed_is_popped")),
    Mutant("codec: words are fetched in a wrong order", "codec/ans.py", "self.room[self.count : self.count + need].astype(np.int64)", "self.room[self.count : self.count + need][::-1].astype(np.int64)", at(BITS, "pushed_is_popped")),
    Mutant("codec: the end is not checked", "codec/ans.py", "        if not fine or not np.array_equal(words, supply(0, self.count)[::-1]):\n", "        if False:\n", at(BITS, "damage_is_seen")),
    Mutant("codec: draws are not masked", "codec/ans.py", "return words ^ self._noise(self.count, need) if self.masked else words", "return words", at(BITS, "masks or bit_for_bit")),
    Mutant("codec: a narrowed stack loses a bit", "codec/ans.py", "self.push_even(high - (1 << more), more)", "self.push_even(high - (1 << more) & ~1, more)", at(BITS, "lanes_come_and_go")),
    Mutant("codec: a level more has no interval", "codec/speech.py", "(share * ((1 << BITS) - self.levels) >> BITS) + v", "share * ((1 << BITS) - self.levels) >> BITS", at(BITS, "every_level")),
    Mutant("codec: components are not weighed by colours", "codec/speech.py", "weight = _weighed(weight, high - low) if j + 1 < self.depth else weight", "weight = weight", at(BITS, "pixels_cost or bit_for_bit")),
    Mutant("codec: a scale follows its mean", "codec/speech.py", "apart[:, : told.shape[1]] += _shifted(told, self.bits, FINE)", "apart += _shifted(told, self.bits, FINE)", at(BITS, "density_costs")),
    Mutant("codec: a prior of the wrong width", "codec/tables.py", "<< FINE >> (2 * fineness + 1)", "<< FINE >> (2 * fineness)", at(BITS, "prior")),
    Mutant("codec: bells without places", "codec/tables.py", "* PARTS + centre % PARTS", "* PARTS", at(BITS, "bells")),
    Mutant("codec: latents of half the grid", "codec/bitsback.py", "centre = (mean * PARTS + (1 << (shift - 1))) >> shift", "centre = (mean * PARTS + (1 << shift)) >> (shift + 1)", at(BITS, "bell_has")),
    Mutant("codec: pictures are left over", "codec/bitsback.py", "min(power(max(held // 2, first) // draws, BATCH), n - done)", "power(max(held // 2, first) // draws, BATCH)", at(BITS, "batches_cover")),
    Mutant("codec: near is one off", "codec/learned.py", "x // width * width + error, 255)", "x // width * width + error + 1, 255)", at(LOSSY, "further_off")),
    Mutant("codec: the last levels are beyond white", "codec/speech.py", "colours[j] = np.minimum(first + self.width // 2, self.levels - 1)", "colours[j] = first + self.width // 2", at(LOSSY, "further_off")),
    Mutant("codec: a sketch in the wrong order", "codec/sketch.py", "in reversed(told):", "in told:", at(LOSSY, "fewer_bytes")),
    Mutant("codec: every sketch is as fine", "codec/sketch.py", "+ WIDTH + notch * LN2 // NOTCHES", "+ WIDTH", at(LOSSY, "fewer_bytes or fine_sketch")),
    Mutant("codec: points off the bell", "codec/sketch.py", "np.clip((2 * centre + step) // (2 * step) - first, 0, bells.width(row) - 1)", "(2 * centre + step) // (2 * step) - first", at(LOSSY, "hope_that_is_wrong")),
    Mutant("codec: any sketch is near enough", "codec/lossy.py", "return self._error is None or", "return True or", at(LOSSY, "keeps_the_error")),
    Mutant("codec: levels are worth what comes first", "codec/learned.py", "if not (x % worth).any() and", "if", at(LOSSY, "few_levels")),
    Mutant("codec: a block is not compared", "codec/blocks.py", "if not wrong and not learned.accepts(", "if wrong and not learned.accepts(", at(BITS, "sabotaged_models_end")),
    Mutant("codec: facts without bounds", "codec/learned.py", "        bounded(self.read)\n", "", at(BITS, "lacks_something or asked_too_much or ask_for_too_much")),
    Mutant("codec: rungs without bounds", "codec/bounds.py", "        _rung(rung, unit)\n", "        pass\n", at(BITS, "may_say_anything or lacks")),
    Mutant("codec: integers round down", "codec/proof.py", "return (x + ((np.int64(1) << np.asarray(shift, np.int64)) >> 1)) >> shift", "return x >> shift", at(INTEGERS, "rounding")),
    Mutant("codec: sums beyond what is exact", "codec/proof.py", "EXACT = 1 << 53", "EXACT = 1 << 56", at(INTEGERS, "must_not_run")),
    # Edit and augment
    Mutant("edit: a step of no deviation", "directions.py", "way * (torch.cat([a, b]) @ way).std(correction=0)", "way", at(EDIT, "either_way")),
    Mutant("edit: judged by what was learned from", "directions.py", "side[part != fold] for side", "side[part != FOLDS] for side", at(EDIT, "separates_nothing")),
    Mutant("edit: the interval of an area is half as wide", "metrics/separation.py", "<= 1.96 * (error", "<= 0.98 * (error", at(EDIT, "interval_holds")),
    Mutant("edit: covariances are not shrunk", "directions.py", ".clamp(0, 1) if float(spread) > 0", ".clamp(0, 0) if float(spread) > 0", at(EDIT, "ledoit")),
    Mutant("edit: strengths are forgotten", "steering.py", "step + much * one", "step + one", at(EDIT, "so_many_deviations")),
    Mutant("edit: content by distance", "exchange.py", "seen = torch.linalg.solve(within(apart), d)", "seen = d", at(EDIT, "content_of_a_code")),
    Mutant("edit: style and content exchanged", "exchange.py", "return style[0], content[1]", "return content[0], style[1]", at(EDIT, "told_model_takes")),
    Mutant("edit: shared examples pass", "sides.py", "    if both:\n", "    if False:\n", at(EDIT, "mistakes")),
    Mutant("augment: examples without a label are used", "sides.py", "torch.nonzero(y >= 0)", "torch.nonzero(y >= -1)", at(AUGMENT, "mix_is_between")),
    Mutant("augment: sources are places, not rows", "makers.py", "Made(x, wanted, given.rows[places], weights)", "Made(x, wanted, places, weights)", at(AUGMENT, "mix_is_between")),
    Mutant("augment: copies pass", "augmenting.py", "torch.ones_like(copied) if keep else ~copied", "torch.ones_like(copied)", at(AUGMENT, "copies")),
    Mutant("augment: only the same is a copy", "leaks.py", "(apart < self.close) | (apart == 0)", "apart == 0", at(AUGMENT, "planted_copies")),
    Mutant("augment: jitter is bolder than asked", "makers.py", "z + boldness * _doubt", "z + _doubt", at(AUGMENT, "jitter")),
    Mutant("augment: the interval is of a normal", "worth.py", "student(len(gains) - 1) * error", "1.96 * error", at(AUGMENT, "students")),
    Mutant("augment: a harm is no harm", "worth.py", "if high < 0 else", "if high < -1 else", at(AUGMENT, "planted_help")),
    # Restore
    Mutant("restore: y moves x the wrong way", "core/given.py", "    return x + back(u)", "    return x - back(u)", at(RESTORE, "exact or textbook")),
    Mutant("restore: noise is left out of the evidence", "core/given.py", "torch.where(seen, damage.turn(back(u)) + noise * u, 0)", "torch.where(seen, damage.turn(back(u)), 0)", at(RESTORE, "exact or textbook")),
    Mutant("restore: a draw without its echo", "core/given.py", "damage.echo(draw), variance", "damage.turn(draw), variance", at(RESTORE, "as_wide")),
    Mutant("restore: what is seen is drawn anew", "core/given.py", "draw = p.complete(kept, seen)", "draw = p.sample()", at(RESTORE, "beside or learns or textbook or keeps")),
    Mutant("restore: variance does not shrink", "damages/shrink.py", "return self.turn(variance) / self.factor**2", "return self.turn(variance)", at(RESTORE, "moments_are_those")),
    Mutant("restore: the median of details is the deviation", "damages/noise.py", "nanmedian(1).values / MEDIAN", "nanmedian(1).values", at(RESTORE, "strength_of_noise")),
    Mutant("restore: gaps bend the wrong way", "core/filling.py", "-push(x), (1, 2, 3)", "push(x), (1, 2, 3)", at(RESTORE, "narrow_gaps")),
    Mutant("restore: what is seen bends along", "core/filling.py", "free = hole.to(x.dtype)", "free = torch.ones_like(x)", at(RESTORE, "narrow_gaps")),
    Mutant("restore: weights without the prior", "restoration.py", "weight = sum((latent.log_ratio for latent in inference.latents), start=weight)", "", at(RESTORE, "textbook")),
    Mutant("restore: descent without a rate", "restoration.py", "cost = guess.rate(z, q) - evidence", "cost = -evidence", at(RESTORE, "textbook")),
    Mutant("restore: the interval is a rank too narrow", "restoration.py", "place = (1 - INSIDE) / 2 * (len(ordered) + 1) - 1", "place = (1 - INSIDE) / 2 * (len(ordered) + 1)", at(RESTORE, "ranks_of_the_draws")),
    Mutant("restore: ties are always below", "metrics/closeness.py", "rank = below + (u * (ties + 1)).floor().clamp_max(ties)", "rank = below", at(RESTORE, "coverage")),
    Mutant("restore: tiles weigh alike", "tiling.py", "mean[where] += weight * found.mean[i].cpu()", "mean[where] += found.mean[i].cpu()", at(RESTORE, "seam or one_tile or larger")),
    # Classify
    Mutant("classify: the bound forgets the classes' entropy", "models/semi.py", "(lecture.said.exp() * (each + lecture.said)).sum(1)", "(lecture.said.exp() * each).sum(1)", at(CLASSIFY, "bound")),
    Mutant("classify: the bound forgets p(y)", "models/semi.py", "each = (distortion + rate + math.log(self.labels.length)).T", "each = (distortion + rate).T", at(CLASSIFY, "bound")),
    Mutant("classify: agreement learns from labels, too", "lessons/agreement.py", " * ~lecture.known", "", at(CLASSIFY, "agreement")),
    Mutant("classify: any certainty will do", "lessons/agreement.py", "(p.max(1).values >= self.sure)", "(p.max(1).values >= 0)", at(CLASSIFY, "agreement")),
    Mutant("classify: m2 forgets what was drawn more often", "models/semi.py", "(lecture.weights * torch.where(", "(torch.where(", at(CLASSIFY, "m2_weighs")),
    Mutant("classify: a blank is class nought", "lessons/taught.py", "return lecture.surprise(lecture.y) * lecture.labels", "return lecture.surprise(lecture.y)", at(CLASSIFY, "blank or gradients or bound")),
    Mutant("classify: labels of validation are all kept", "data/labels.py", 'for name in ("train", "valid"):', 'for name in ("train",):', at(CLASSIFY, "so_many_labels")),
    Mutant("classify: a temperature the other way up", "naming.py", "self.say(x).double() / (self.heat or 1.0)", "self.say(x).double() * (self.heat or 1.0)", at(CLASSIFY, "divides")),
    Mutant("classify: the golden section keeps the worse half", "metrics/classes.py", "if cost_a < cost_b:", "if cost_a > cost_b:", at(CLASSIFY, "temperature")),
    Mutant("spread: distances of one scale", "spreading.py", "torch.exp(-STEEP * apart / apart[:, -1:].clamp_min(1e-12))", "torch.exp(-STEEP * apart)", at(SPREADING, "textbook")),
    Mutant("spread: neighbours on one side", "spreading.py", "torch.stack([torch.cat([of, to]), torch.cat([to, of])])", "torch.stack([torch.cat([of, of]), torch.cat([to, to])])", at(SPREADING, "textbook")),
    Mutant("spread: classes are not held to their shares", "spreading.py", "shared = told.sum(0) * heard / heard.sum(0).clamp_min(1e-12)", "shared = heard", at(SPREADING, "textbook or shares")),
    Mutant("spread: known labels are overruled", "spreading.py", "return torch.where((y != BLANK)[:, None], F.one_hot(y.clamp_min(0), classes), chances)", "return chances", at(SPREADING, "among_others")),
    Mutant("spread: guesses of other rows", "data/batches.py", "y, guesses = self._of(self._y, rows), self._of(self._guesses, rows)", "y, guesses = self._of(self._y, rows), self._of(self._guesses, rows.flip(0))", at(SPREADING, "go_with_their_rows")),
    Mutant("spread: a guess is trusted once", "lessons/agreement.py", "return self.trust * chances", "return chances", at(SPREADING, "weighed")),
    # Detect
    Mutant("detect: a p-value of nought", "calibration.py", "return (1 + above) / (1 + len(ordered))", "return above / len(ordered)", at(DETECT, "p_values or promise or few")),
    Mutant("detect: measured by what was promised", "calibration.py", "np.arange(len(self.normal)) % 3 > 0", "np.arange(len(self.normal)) % 3 >= 0", at(DETECT, "promise or uniform or threshold")),
    Mutant("detect: the tail is flat", "calibration.py", "far = self.base + (numbers - self.start) / self.mean", "far = self.base + 0 * numbers", at(DETECT, "farther")),
    Mutant("detect: low numbers are never odd", "calibration.py", "either: Numbers = np.maximum(high + np.log(1 - low), below + np.log(low))", "either: Numbers = high + np.log(1 - low)", at(DETECT, "low_numbers or trap")),
    Mutant("detect: the posterior is not fitted", "oddities/regret.py", "            optimiser.step()\n", "", at(DETECT, "regret")),
    # Tables
    Mutant("tables: missing cells count", "families/mixed.py", "[..., : space.width] * known[..., space.column_of]", "[..., : space.width]", at(TABLES, "likelihood_of_a_row")),
    Mutant("tables: words are drawn without chance", "families/mixed.py", "_largest(self.space, self.log_p + gumbel)", "_largest(self.space, self.log_p)", at(TABLES, "draws")),
    Mutant("tables: chances over all words", "families/mixed.py", "wide = values.new_full((*values.shape[:-1], *real.shape), -math.inf)", "wide = values.new_full((*values.shape[:-1], *real.shape), 0.0)", at(TABLES, "likelihood_of_a_row")),
    Mutant("tables: knots in the wrong order", "core/quantile_scale.py", "x0, x1, y0, y1 = (knots.gather", "x1, x0, y0, y1 = (knots.gather", at(TABLES, "scale_of_a_normal or sees")),
]
# fmt: on
