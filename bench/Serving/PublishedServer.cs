using System.Diagnostics;
using Grpc.Net.Client;
using LlamaServe.V1;

namespace LlamaServe.Bench.Serving;

/// <summary>The server as users get it: published to a folder and started from there as a process of its own.</summary>
internal sealed class PublishedServer : IDisposable
{
    private readonly Process _process;
    private readonly GrpcChannel _channel;

    private PublishedServer(Process process, GrpcChannel channel)
    {
        _process = process;
        _channel = channel;
        Client = new Generation.GenerationClient(channel);
    }

    public Generation.GenerationClient Client { get; }

    /// <summary>Most physical memory, in bytes, that the process has held so far (VmHWM on Linux).</summary>
    public long PeakBytes
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    /// <summary>Publishes the server of this checkout.</summary>
    /// <param name="properties">Further arguments of <c>dotnet publish</c>.</param>
    /// <returns>The program's path.</returns>
    /// <exception cref="InvalidOperationException">It does not build.</exception>
    public static async Task<string> PublishAsync(IEnumerable<string> properties, CancellationToken cancellationToken)
    {
        string folder = Path.Combine(Repository.Root, "artifacts", "bench", "server");
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }

        ProcessStartInfo start = new("dotnet", ["publish", "server", "-c", "Release", "-o", folder, "-v", "quiet", "--nologo", .. properties])
        {
            WorkingDirectory = Repository.Root,
        };
        using Process process = Process.Start(start)!;
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0
            ? Path.Combine(folder, "LlamaServe.Server" + (OperatingSystem.IsWindows() ? ".exe" : ""))
            : throw new InvalidOperationException($"dotnet publish ended with exit code {process.ExitCode}.");
    }

    /// <summary>Starts the program and waits until it says that it takes requests.</summary>
    /// <exception cref="InvalidOperationException">It ended instead.</exception>
    public static async Task<PublishedServer> StartAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        ProcessStartInfo start = new(program, ["serve", "--port", "0", "--metrics-port", "0", "--log-level", "Warning", .. arguments])
        {
            RedirectStandardOutput = true,
        };
        Process process = Process.Start(start)!;
        try
        {
            string address = await AddressAsync(process, cancellationToken);
            return new PublishedServer(process, GrpcChannel.ForAddress(address));
        }
        catch
        {
            End(process);
            throw;
        }
    }

    public void Dispose()
    {
        _channel.Dispose();
        End(_process);
    }

    /// <summary>The address in the ready message.</summary>
    private static async Task<string> AddressAsync(Process process, CancellationToken cancellationToken)
    {
        while (await process.StandardOutput.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is ["gRPC", var address, ..])
            {
                return address;
            }
        }

        throw new InvalidOperationException("The server ended before it was ready.");
    }

    private static void End(Process process)
    {
        if (!process.HasExited)
        {
            process.Kill();
        }

        process.Dispose();
    }
}
