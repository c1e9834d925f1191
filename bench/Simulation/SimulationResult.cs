using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>What a simulation predicts. Seconds are simulated.</summary>
internal sealed class SimulationResult(IReadOnlyList<Replica> replicas)
{
    private readonly List<double> _firstToken = [];
    private readonly List<double> _perToken = [];
    private readonly List<double> _latency = [];
    private LatencyHistogram? _gaps;

    /// <summary>From the start to the last answer's end.</summary>
    public double Seconds { get; set; }

    public int Requests => _firstToken.Count;

    public long InputTokens { get; private set; }

    /// <summary>Those of them that the prefix caches had.</summary>
    public long CachedTokens { get; private set; }

    public long OutputTokens { get; private set; }

    public double OutputTokensPerSecond => OutputTokens / Seconds;

    /// <summary>Seconds to the first token.</summary>
    public Distribution TimeToFirstToken => new(_firstToken);

    /// <summary>Mean seconds of a token after the first, of answers with more than one.</summary>
    public Distribution TimePerToken => new(_perToken);

    /// <summary>Seconds to the last token.</summary>
    public Distribution Latency => new(_latency);

    /// <summary>Seconds between tokens, of all answers together.</summary>
    public LatencyHistogram InterTokenLatency
    {
        get
        {
            if (_gaps is null)
            {
                _gaps = new LatencyHistogram();
                foreach (Replica replica in replicas)
                {
                    _gaps.Add(replica.Gaps);
                }
            }

            return _gaps;
        }
    }

    public long Steps => replicas.Sum(replica => replica.Steps);

    public long Preemptions => replicas.Sum(replica => replica.Counters.Preemptions);

    public double PeakKvUse => replicas.Max(replica => replica.PeakKvUse);

    public double MeanKvUse => replicas.Average(replica => replica.MeanKvUse);

    /// <summary>Part of the time in which steps ran, over all replicas.</summary>
    public double BusyShare => replicas.Sum(replica => replica.BusySeconds) / (replicas.Count * Seconds);

    /// <summary>Notes a turn that has its last token.</summary>
    public void Add(SimulatedTurn turn)
    {
        InputTokens += turn.Prompt.Length;
        CachedTokens += turn.PrefixHit;
        OutputTokens += turn.OutputTokens;
        _firstToken.Add(turn.FirstToken - turn.Arrival);
        _latency.Add(turn.LastToken - turn.Arrival);
        if (turn.OutputTokens > 1)
        {
            _perToken.Add((turn.LastToken - turn.FirstToken) / (turn.OutputTokens - 1));
        }
    }
}
