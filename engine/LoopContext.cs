using System.Threading.Channels;
using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using Microsoft.Extensions.Logging;

namespace LlamaServe.Engine;

/// <summary>What outlives a loop that is restarted.</summary>
internal sealed record LoopContext(
    EngineOptions Options,
    Channel<EngineCommand> Commands,
    AdmissionControl Admission,
    EngineCounters Counters,
    EngineMetrics Metrics,
    ILogger Log,
    TimeProvider Time)
{
    public StepCostModel Costs { get; } = new();

    public BlockHasher Hasher { get; } = new();

    /// <summary>Whether the block accounting is checked after each step (tests) or now and then when idle.</summary>
    public bool ChecksEachStep { get; init; }

    /// <summary><see cref="EngineOptions.SlowReaderTimeout"/> in the clock's unit.</summary>
    public long SlowReaderTimeout => (long)(Options.SlowReaderTimeout.TotalSeconds * Time.TimestampFrequency);

    public void Post(EngineCommand command) => Commands.Writer.TryWrite(command);

    public SchedulerOptions SchedulerOptions() => new(
        Options.TokenBudget,
        Options.MaxSequences,
        Options.MinPrefillTokens,
        Options.PromptLogProbRows,
        Options.StepTimeTarget.TotalSeconds,
        Math.Max(1, (long)(Options.AgingInterval.TotalSeconds * Time.TimestampFrequency)));
}
