using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>A finished program.</summary>
/// <param name="Output">Of both streams.</param>
internal sealed record HostProcess(int ExitCode, string Output)
{
    /// <summary>Runs a program to its end; null where it cannot be started.</summary>
    public static HostProcess? TryRun(string command, IEnumerable<string> arguments)
    {
        StringBuilder output = new();
        using Process process = new() { StartInfo = new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true } };
        process.OutputDataReceived += Append;
        process.ErrorDataReceived += Append;
        try
        {
            process.Start();
        }
        catch (Win32Exception)
        {
            return null;
        }
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.WaitForExit();
        return new HostProcess(process.ExitCode, output.ToString());

        void Append(object sender, DataReceivedEventArgs line)
        {
            if (line.Data is not null)
            {
                lock (output)
                {
                    output.Append(line.Data).Append('\n');
                }
            }
        }
    }
}
