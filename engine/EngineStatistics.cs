namespace LlamaServe.Engine;

/// <summary>The engine at one instant; totals count from its start. Fields may be one step apart.</summary>
public readonly record struct EngineStatistics
{
    public required EngineState State { get; init; }

    /// <summary>Sequences that wait for their first or next blocks.</summary>
    public required int WaitingSequences { get; init; }

    /// <summary>Sequences that hold blocks.</summary>
    public required int RunningSequences { get; init; }

    /// <summary>Running sequences whose reader is behind.</summary>
    public required int PausedSequences { get; init; }

    public required int RequestsInFlight { get; init; }

    public required int KvBlocks { get; init; }

    /// <summary>Blocks that some sequence holds; cached prefixes without a holder do not count.</summary>
    public required int KvBlocksUsed { get; init; }

    /// <summary>Blocks in host memory, and those of them that hold a cached prefix whose block was reused.</summary>
    public required int KvHostBlocks { get; init; }

    public required int KvHostBlocksUsed { get; init; }

    /// <summary>Blocks copied to host memory, and back from it.</summary>
    public required long BlocksSwappedOut { get; init; }

    public required long BlocksSwappedIn { get; init; }

    public required long Steps { get; init; }

    /// <summary>Prompt tokens that were asked for, and of those the ones found in the prefix cache.</summary>
    public required long PrefixQueriedTokens { get; init; }

    public required long PrefixHitTokens { get; init; }

    /// <summary>Those of <see cref="PrefixHitTokens"/> that came from host memory.</summary>
    public required long PrefixHostHitTokens { get; init; }

    public required long Preemptions { get; init; }

    /// <summary>Tokens computed for prompts, recomputation included.</summary>
    public required long PrefillTokens { get; init; }

    /// <summary>Tokens that were generated.</summary>
    public required long GeneratedTokens { get; init; }

    /// <summary>How often the loop was restarted.</summary>
    public required int Restarts { get; init; }

    public required TimeSpan LastStepTime { get; init; }

    /// <summary>
    /// The part of the last step that was not spent in the model: scheduling, text, publishing, and where steps overlap also building
    /// and starting a step. There it costs nothing while it is shorter than the step on the device.
    /// </summary>
    public required TimeSpan LastHostTime { get; init; }
}
