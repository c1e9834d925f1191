using System.Diagnostics;

namespace LlamaServe.Bench.Operations;

/// <summary>Times two ways to do the same, A B A B: a slow moment of the machine hits both.</summary>
/// <param name="rounds">Turns of each.</param>
/// <param name="turn">What a turn should take at least.</param>
internal sealed class TurnClock(int rounds, TimeSpan turn)
{
    /// <summary>Between turns, so that the other side's threads stop looking for work and sleep.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(5);

    /// <summary>Seconds of a call in each turn.</summary>
    /// <param name="variants">Inputs that calls take in turn.</param>
    /// <param name="peer">May be missing.</param>
    public (double[] Ours, double[] Peers) Measure(int variants, Action<int> ours, Action<int>? peer)
    {
        Side a = new(ours, variants, turn);
        Side? b = peer is null ? null : new Side(peer, variants, turn);
        double[] own = new double[rounds], others = new double[b is null ? 0 : rounds];
        for (int round = 0; round < rounds; round++)
        {
            own[round] = a.Seconds();
            if (b is not null)
            {
                Thread.Sleep(Rest);
                others[round] = b.Seconds();
                Thread.Sleep(Rest);
            }
        }

        return (own, others);
    }

    /// <summary>The middle one, or the mean of the two in the middle.</summary>
    public static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private sealed class Side
    {
        private const int MostCalls = 100_000;

        private readonly Action<int> _call;
        private readonly int _variants;
        private readonly int _calls;
        private int _next;

        public Side(Action<int> call, int variants, TimeSpan turn)
        {
            (_call, _variants) = (call, variants);
            // The first calls compile, reserve and fault pages in; doubling goes on until the last ones are a turn.
            for (_calls = 1; Time(_calls) < turn.TotalSeconds && _calls < MostCalls;)
            {
                _calls *= 2;
            }
        }

        /// <summary>Of a call, after one that wakes the threads.</summary>
        public double Seconds()
        {
            Time(1);
            return Time(_calls) / _calls;
        }

        private double Time(int calls)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++)
            {
                _call(_next);
                _next = (_next + 1) % _variants;
            }

            // A TimeSpan's 100 ns are longer than the shortest call.
            return (Stopwatch.GetTimestamp() - start) / (double)Stopwatch.Frequency;
        }
    }
}
