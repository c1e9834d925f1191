namespace LlamaServe.Engine.Requests;

/// <summary>Why a sample ended.</summary>
public enum FinishReason
{
    /// <summary>An end id, a stop id or a stop string.</summary>
    Stop,

    /// <summary>The requested number of tokens.</summary>
    Length,

    /// <summary>The model's context is full.</summary>
    ContextFull,

    /// <summary>The caller went away.</summary>
    Cancelled,

    /// <summary>The request's deadline passed.</summary>
    DeadlineExceeded,

    /// <summary>The caller did not read its tokens for too long while its buffer was full.</summary>
    SlowReader,

    /// <summary>The engine failed this request; the summary's Error says why.</summary>
    Error,
}
