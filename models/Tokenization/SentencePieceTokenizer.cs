namespace LlamaServe.Models.Tokenization;

/// <summary>Makes the tokenizer of SentencePiece BPE pieces: spaces marked, a dummy one in front, merges by score.</summary>
internal static class SentencePieceTokenizer
{
    public static Tokenizer Build(SentencePieces pieces, SpecialTokens special, IReadOnlyList<AddedToken> added, Options options)
    {
        Vocabulary vocabulary = pieces.BuildVocabulary(added);
        List<EncodingStep> steps =
        [
            new AddedTokenStep([.. added, .. pieces.AddedTokens(SentencePieces.PieceKind.Control), .. pieces.AddedTokens(SentencePieces.PieceKind.Unknown)]),
        ];
        if (options.RemoveExtraSpaces)
        {
            steps.Add(new CollapseSpacesStep());
        }
        steps.Add(new ReplaceStep(" ", TokenText.LowerOneEighthBlock));
        if (options.AddDummyPrefix)
        {
            steps.Add(new PrependStep(TokenText.LowerOneEighthBlock, unlessPresent: false, onlyAtStart: false));
        }
        steps.Add(new AddedTokenStep(pieces.AddedTokens(SentencePieces.PieceKind.UserDefined)));
        if (WordStep.IsExact(vocabulary))
        {
            steps.Add(new WordStep());
        }
        int unknownId = special.Unknown ?? pieces.First(SentencePieces.PieceKind.Unknown);
        steps.Add(new CodePointBpe(vocabulary, pieces.BuildMerges(), unknownId, pieces.HasBytes, fuseUnknown: true));
        return new Tokenizer(EncodingStep.Chain(steps), vocabulary, special,
            options.AddBos && special.Bos is { } bos ? [bos] : [], options.AddEos && special.Eos is { } eos ? [eos] : [],
            stripsLeadingSpace: options.AddDummyPrefix);
    }

    /// <param name="AddDummyPrefix">Put a space before the text, so that its first word is like the others.</param>
    /// <param name="RemoveExtraSpaces">Drop spaces at both ends and all but one of each run.</param>
    internal sealed record Options(bool AddBos, bool AddEos, bool AddDummyPrefix, bool RemoveExtraSpaces);
}
