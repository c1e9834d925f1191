namespace LlamaServe.Engine;

/// <summary>
/// Numbers that the loop alone writes, a plain store each, and that anybody may read; they survive a restart of the loop.
/// </summary>
internal sealed class EngineCounters
{
    public int Waiting { get; set; }

    public int Running { get; set; }

    public int Paused { get; set; }

    public int KvBlocks { get; set; }

    public int KvBlocksUsed { get; set; }

    public int KvHostBlocks { get; set; }

    public int KvHostBlocksUsed { get; set; }

    public long BlocksSwappedOut { get; set; }

    public long BlocksSwappedIn { get; set; }

    public long Steps { get; set; }

    public long PrefixQueriedTokens { get; set; }

    public long PrefixHitTokens { get; set; }

    public long PrefixHostHitTokens { get; set; }

    public long Preemptions { get; set; }

    public long PrefillTokens { get; set; }

    public long GeneratedTokens { get; set; }

    public int Restarts { get; set; }

    public TimeSpan LastStep { get; set; }

    public TimeSpan LastHost { get; set; }
}
