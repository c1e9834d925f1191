using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace LlamaServe.Bench.Peers;

/// <summary>
/// llama.cpp's prebuilt CPU library through npm's node-llama-cpp, driven by <c>llama-cpp/run.mjs</c>: a process a call.
/// </summary>
internal static class LlamaCpp
{
    /// <summary>Of node-llama-cpp.</summary>
    public const string Version = "3.22.1";

    private static string Folder => Path.Combine(Repository.Root, "bench", "Peers", "llama-cpp");

    private static string Modules => Path.Combine(Folder, "node_modules", "@node-llama-cpp");

    /// <summary>Whether <see cref="InstallAsync"/> has nothing to do.</summary>
    public static bool IsInstalled => Directory.Exists(Modules);

    /// <summary>Fetches the packages where they are missing: node-llama-cpp and its library for this machine, no GPU libraries.</summary>
    /// <exception cref="InvalidOperationException">npm is missing or failed.</exception>
    public static async Task InstallAsync(CancellationToken cancellationToken)
    {
        if (IsInstalled)
        {
            return;
        }

        string[] install = ["install", "--omit=optional", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
        await RunAsync("npm", install, cancellationToken);
        await RunAsync("npm", [.. install, "--no-save", $"@node-llama-cpp/{Platform()}@{Version}"], cancellationToken);
    }

    /// <summary>One round of measurements.</summary>
    public static async Task<PeerMeasures> MeasureAsync(
        string modelPath, string workloadPath, int threads, CancellationToken cancellationToken)
    {
        string output = await RunAsync(
            "node", [
                "run.mjs", "measure", "--model", modelPath, "--workload", workloadPath,
                "--threads", threads.ToString(CultureInfo.InvariantCulture),
            ],
            cancellationToken);
        return JsonSerializer.Deserialize<PeerMeasures>(output)!;
    }

    /// <summary>The greedy continuation of a prompt; it goes on past end ids.</summary>
    /// <param name="prompt">Ids as they are: nothing is added.</param>
    public static async Task<Continuation> ContinueAsync(
        string modelPath, IEnumerable<int> prompt, int count, CancellationToken cancellationToken)
    {
        string output = await RunAsync(
            "node", [
                "run.mjs", "evaluate", "--model", Path.GetFullPath(modelPath), "--tokens", string.Join(',', prompt),
                "--count", count.ToString(CultureInfo.InvariantCulture), "--threads", "1",
            ],
            cancellationToken);
        return JsonSerializer.Deserialize<Continuation>(output)!;
    }

    private static string Platform()
    {
        string system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "mac" : "linux";
        string architecture = RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant();
        return system == "mac" && architecture == "arm64" ? "mac-arm64-metal" : $"{system}-{architecture}";
    }

    private static async Task<string> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        using Process process = Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardOutput = true });
        using CancellationTokenRegistration kill = cancellationToken.Register(() => process.Kill(entireProcessTree: true));
        string output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{program} ended with exit code {process.ExitCode}.");
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"{start.FileName} cannot be started; llama.cpp runs on Node.js 20 or later.", exception);
        }
    }
}

/// <summary>What an engine made of a prompt.</summary>
internal sealed record Continuation(
    [property: JsonPropertyName("token_ids")] int[] TokenIds,
    [property: JsonPropertyName("text")] string Text);
