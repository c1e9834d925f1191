using LlamaServe.V1;

namespace LlamaServe.Server.Commands;

/// <summary>Text as it comes, and at the end one line about it for people.</summary>
/// <param name="output">The text.</param>
/// <param name="notes">The line.</param>
internal sealed class TextOutput(TextWriter output, TextWriter notes) : IGenerationOutput
{
    private GenerateResponse? _last;

    public void Add(GenerateResponse response)
    {
        foreach (Delta delta in response.Deltas)
        {
            output.Write(delta.Text);
        }
        output.Flush();
        _last = response;
    }

    public void End()
    {
        output.WriteLine();
        if (_last is { Usage: { } usage, Timings: { } timings })
        {
            GenerationSpeed speed = new(usage, timings);
            notes.WriteLine(
                $"[{usage.PromptTokens} + {usage.CompletionTokens} tokens; first after {timings.TimeToFirstTokenMs:F1} ms, " +
                $"then {speed.DecodeTokensPerSecond:F1} tokens/s; {_last.Deltas[0].Finish.Reason}]");
        }
    }

    public void Break() => output.WriteLine();
}
