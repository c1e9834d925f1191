using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Bench.Simulation;

/// <summary>What of a step costs time.</summary>
/// <param name="DecodeAttended">Context lengths summed over the tokens that are the only ones of their sequence.</param>
/// <param name="PrefillAttended">The same over all other tokens.</param>
internal readonly record struct StepSize(int Tokens, int Sequences, double DecodeAttended, double PrefillAttended)
{
    public double Attended => DecodeAttended + PrefillAttended;

    public static StepSize Of(StepPlan plan)
    {
        double decoded = 0, prefilled = 0;
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            double attended = slice.Count * (slice.Start + 0.5 * (slice.Count + 1));
            (decoded, prefilled) = slice.Count == 1 ? (decoded + attended, prefilled) : (decoded, prefilled + attended);
        }

        return new StepSize(plan.TokenCount, plan.Count, decoded, prefilled);
    }
}

/// <summary>A step that was run.</summary>
internal readonly record struct MeasuredStep(StepSize Size, double Seconds);
