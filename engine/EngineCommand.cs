using LlamaServe.Engine.Requests;

namespace LlamaServe.Engine;

internal enum EngineCommandKind
{
    Add,
    Cancel,

    /// <summary>The reader has made room.</summary>
    Resume,

    /// <summary>A deadline or time-out may have passed.</summary>
    Tick,

    /// <summary>End what is left and stop.</summary>
    Stop,
}

/// <summary>What other threads tell the loop.</summary>
internal readonly record struct EngineCommand(EngineCommandKind Kind, ActiveRequest? Request = null);
