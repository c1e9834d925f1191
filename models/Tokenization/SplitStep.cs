using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Cuts the text into the matches of a pattern and what lies between them.</summary>
/// <param name="dropGaps">Only the matches go on.</param>
internal sealed class SplitStep(SplitPattern pattern, bool dropGaps = false) : EncodingStep
{
    private const int EffortPerChar = 256;
    private const int LeastEffort = 1 << 14;

    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        long effort = LeastEffort + (long)EffortPerChar * text.Length;
        int gap = 0;
        int position = 0;
        while (position < text.Length)
        {
            int end = pattern.Match(text, position, ref effort);
            if (effort < 0)
            {
                throw new CheckpointException(pattern.Source, "the pre-tokenizer's pattern backtracks without bound on this text");
            }
            if (end <= position)
            {
                position += SplitPattern.CodePointLength(text, position);
                continue;
            }
            PassGap(text[gap..position], atStart && gap == 0, parseSpecialTokens, ids);
            Next.Encode(text[position..end], atStart && position == 0, parseSpecialTokens, ids);
            gap = position = end;
        }
        PassGap(text[gap..], atStart && gap == 0, parseSpecialTokens, ids);
    }

    private void PassGap(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        if (!dropGaps && !text.IsEmpty)
        {
            Next.Encode(text, atStart, parseSpecialTokens, ids);
        }
    }
}
