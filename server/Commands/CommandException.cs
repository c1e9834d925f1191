namespace LlamaServe.Server.Commands;

/// <summary>Ends a command with one clear sentence on stderr.</summary>
internal sealed class CommandException(string message, int exitCode, Exception? cause = null) : Exception(message, cause)
{
    /// <summary>One of <see cref="Commands.ExitCode"/>.</summary>
    public int ExitCode { get; } = exitCode;
}
