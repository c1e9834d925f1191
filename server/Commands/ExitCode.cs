namespace LlamaServe.Server.Commands;

/// <summary>What a command's end means to a script.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>Wrong usage, or a request that was refused or failed.</summary>
    public const int Failed = 1;

    /// <summary>The model cannot be loaded.</summary>
    public const int ModelUnusable = 2;

    /// <summary>A port cannot be opened, or no server answers.</summary>
    public const int Unreachable = 3;

    /// <summary>The engine failed for good while serving.</summary>
    public const int EngineFailed = 4;
}
