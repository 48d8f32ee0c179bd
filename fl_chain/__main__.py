from fl_chain.cli import main

main()
