using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LlamaServe.Server.Tests.Support;

/// <summary>The built server as a process of its own.</summary>
internal sealed partial class ServerProcess : IDisposable
{
    private const int SigTerm = 15;

    private readonly Process _process;
    private readonly Task<string> _errors;

    private ServerProcess(IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "LlamaServe.Server.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    public static ServerProcess Start(params string[] arguments) => new(arguments);

    /// <summary>Runs a command to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> Run(params string[] arguments)
    {
        using ServerProcess process = new(arguments);
        string output = await process._process.StandardOutput.ReadToEndAsync();
        return (await process.Exit(), output, await process._errors);
    }

    /// <summary>Waits for the ready message and returns the address that it gives for gRPC.</summary>
    public async Task<string> GrpcAddress()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.TrimStart().StartsWith("gRPC", StringComparison.Ordinal))
            {
                return line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
            }
        }
        throw new InvalidOperationException($"the server ended before it was ready: {await _errors}");
    }

    public void Terminate() => Assert.That(Kill(_process.Id, SigTerm), Is.Zero);

    public async Task<int> Exit()
    {
        using CancellationTokenSource timeout = new(TimeSpan.FromMinutes(2));
        await _process.WaitForExitAsync(timeout.Token);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
