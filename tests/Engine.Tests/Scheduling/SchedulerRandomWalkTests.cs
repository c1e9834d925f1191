using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Tests.Support;

namespace LlamaServe.Engine.Tests.Scheduling;

/// <summary>
/// Long random lives of the scheduler: arrivals, cancellations, pauses, further samples, prefix hits, preemptions and failing steps, with
/// blocks, plans and what each sequence attends to checked at every step.
/// </summary>
public class SchedulerRandomWalkTests
{
    [TestCase(1, 64, 4, 32, 8, true, false)]
    [TestCase(2, 24, 4, 16, 8, true, false)]
    [TestCase(3, 18, 4, 64, 16, true, false)]
    [TestCase(4, 40, 1, 24, 6, true, false)]
    [TestCase(5, 20, 16, 48, 12, true, false)]
    [TestCase(6, 24, 4, 16, 8, false, false)]
    [TestCase(7, 17, 4, 8, 8, true, false)]
    [TestCase(8, 200, 4, 64, 32, true, false)]
    [TestCase(9, 64, 4, 32, 8, true, true)]
    [TestCase(10, 24, 4, 16, 8, true, true)]
    [TestCase(11, 18, 4, 64, 16, true, true)]
    [TestCase(12, 40, 1, 24, 6, true, true)]
    [TestCase(13, 24, 4, 16, 8, false, true)]
    [TestCase(14, 17, 4, 8, 8, true, true)]
    [TestCase(15, 200, 4, 64, 32, true, true)]
    [TestCase(16, 24, 4, 16, 8, true, false, 100)]
    [TestCase(17, 18, 4, 64, 16, true, true, 3)]
    [TestCase(18, 24, 4, 16, 8, true, true, 12)]
    [TestCase(19, 40, 1, 24, 6, true, true, 30)]
    [TestCase(20, 17, 4, 8, 8, true, false, 1)]
    [TestCase(21, 64, 4, 32, 8, true, true, 40)]
    public void All_work_is_done_with_the_right_tokens(
        int seed, int blocks, int blockSize, int budget, int maxSequences, bool prefixCaching, bool overlaps, int hostBlocks = 0)
    {
        const int Steps = 12_500;
        var faults = new Random(~seed);
        var walk = new Walk(seed, new SchedulerHarness(blocks, blockSize, budget, maxSequences, prefixCaching, agingInterval: 50, overlaps, hostBlocks)
        {
            IsEnd = token => token % 23 == 0,
            Fails = () => faults.Next(60) == 0,
        });
        for (int step = 0; step < Steps; step++)
        {
            walk.Step();
        }
        walk.Finish();
        Assert.That(walk.FinishedCount, Is.GreaterThan(Steps / 50));
        if (blocks * blockSize < 100)
        {
            Assert.That(walk.Preemptions, Is.Positive, "the pool was meant to run out");
        }
        if (prefixCaching)
        {
            Assert.That(walk.PrefixHits, Is.Positive);
        }
        if (hostBlocks > 0)
        {
            Assert.That(walk.SwappedOut, Is.Positive);
            Assert.That(walk.SwappedIn, Is.Positive);
        }
    }

    private sealed class Walk(int seed, SchedulerHarness harness)
    {
        private readonly Random _random = new(seed);
        private readonly List<Sequence> _open = [];
        private readonly List<(Sequence Parent, int Samples)> _forks = [];

        public int FinishedCount { get; private set; }

        public long Preemptions => harness.Counters.Preemptions;

        public long PrefixHits => harness.Counters.PrefixHitTokens;

        public long SwappedOut => harness.Counters.BlocksSwappedOut;

        public long SwappedIn => harness.Counters.BlocksSwappedIn;

        public void Step()
        {
            if (_open.Count < 24 && _random.Next(3) == 0)
            {
                Arrive();
            }
            if (_open.Count > 0)
            {
                Disturb(_open[_random.Next(_open.Count)]);
            }
            Advance();
        }

        /// <summary>No more arrivals; everything comes to its end.</summary>
        public void Finish()
        {
            foreach (Sequence sequence in _open)
            {
                harness.Scheduler.SetPaused(sequence, false, harness.Now);
            }
            for (int left = 5000; _open.Count > 0; left--)
            {
                Assert.That(left, Is.Positive, "the work does not come to an end");
                Advance();
            }
            Assert.That(harness.Blocks.UsedBlocks, Is.Zero);
        }

        private void Advance()
        {
            harness.Step();
            foreach (Sequence finished in harness.Finished)
            {
                _open.Remove(finished);
                FinishedCount++;
            }
            harness.Finished.Clear();
            for (int i = _forks.Count - 1; i >= 0; i--)
            {
                (Sequence parent, int samples) = _forks[i];
                if (parent.OutputCount > parent.PendingCount || parent.Status == SequenceStatus.Idle)
                {
                    Fork(parent, samples);
                    _forks.RemoveAt(i);
                }
            }
        }

        private void Arrive()
        {
            int room = (harness.Blocks.BlockCount * harness.Blocks.BlockSize) + 1;
            int prompt = _random.Next(1, Math.Min(40, room - 1));
            int output = _random.Next(1, Math.Min(30, room - prompt) + 1);
            // Prompts share the beginnings of a few texts.
            int[] tokens = SchedulerHarness.Prompt(prompt, _random.Next(3));
            Sequence sequence = harness.Add(
                tokens, output, _random.Next(-1, 2), $"tenant {_random.Next(3)}", scorePrompt: _random.Next(8) == 0);
            _open.Add(sequence);
            if (_random.Next(4) == 0)
            {
                _forks.Add((sequence, _random.Next(1, 4)));
            }
        }

        private void Disturb(Sequence sequence)
        {
            switch (_random.Next(20))
            {
                case 0:
                    harness.Scheduler.Remove(sequence, harness.Now);
                    _open.Remove(sequence);
                    break;
                case < 3 when _open.Count(s => s.IsPaused) < 4:
                    harness.Scheduler.SetPaused(sequence, true, harness.Now);
                    break;
                case < 8 when sequence.IsPaused:
                    harness.Scheduler.SetPaused(sequence, false, harness.Now);
                    break;
            }
        }

        private void Fork(Sequence parent, int samples)
        {
            for (int i = 1; i <= samples; i++)
            {
                var child = new Sequence(parent.Spec with { Sample = i, ScorePrompt = false });
                harness.Scheduler.Fork(parent, child, harness.Now);
                _open.Add(child);
            }
        }
    }
}
