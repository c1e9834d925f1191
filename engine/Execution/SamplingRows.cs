using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Execution;

/// <summary>The rows of a plan's logits: which prompt token each scores, or how it is sampled.</summary>
internal static class SamplingRows
{
    /// <summary>Fills the batch with a row for each wanted row of logits, in the plan's order.</summary>
    public static void Fill(StepPlan plan, SamplingBatch batch)
    {
        batch.Clear();
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            Sequence sequence = slice.Sequence;
            for (int i = slice.LogitsFrom; i < slice.Count; i++)
            {
                ActiveRequest request = ((Sample)sequence.Owner!).Request;
                int position = slice.Start + i;
                SamplingRow row;
                if (position < sequence.PromptLength - 1)
                {
                    request.FillScoringRow(sequence, sequence.Tokens[position + 1], out row);
                }
                else
                {
                    request.FillSamplingRow(sequence, out row);
                }
                batch.Add(row);
            }
        }
    }
}
