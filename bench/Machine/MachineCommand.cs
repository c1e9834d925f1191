using System.CommandLine;

namespace LlamaServe.Bench.Machine;

/// <summary><c>machine</c>: measures what the machine allows.</summary>
internal static class MachineCommand
{
    public static Command Create()
    {
        Option<int> threads = new("--threads") { Description = "Threads.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Command command = new("machine", "Measure memory read bandwidth and the int8 peak.") { threads };
        command.SetAction(parsed =>
        {
            Console.WriteLine(MachineDescription.Current);
            Console.WriteLine(MachineLimits.Measure(parsed.GetValue(threads)));
        });
        return command;
    }
}
