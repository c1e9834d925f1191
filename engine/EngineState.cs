namespace LlamaServe.Engine;

/// <summary>Where the engine is in its life. Only <see cref="Ready"/> takes requests.</summary>
public enum EngineState
{
    /// <summary>The model is being loaded, at first or again after a step that hung.</summary>
    Starting,

    Ready,

    /// <summary>No request is taken any more; those in flight run on.</summary>
    Draining,

    Stopped,

    /// <summary>The model could not be loaded or steps keep failing; nothing will be served again.</summary>
    Failed,
}
