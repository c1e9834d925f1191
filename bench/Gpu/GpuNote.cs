namespace LlamaServe.Bench.Gpu;

/// <summary>What a worker tells, a line of its journal: one of these.</summary>
internal sealed record GpuNote
{
    /// <summary>Name of a part that begins.</summary>
    public string? Begun { get; init; }

    /// <summary>Name of a part that is over, whatever came of it.</summary>
    public string? Done { get; init; }

    public GpuLimits? Limits { get; init; }

    public GpuRow? Row { get; init; }

    public PeerCase? Peer { get; init; }
}
